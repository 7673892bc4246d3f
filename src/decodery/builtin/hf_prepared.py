"""What `generate` has prepared, its processors and criteria, as one step and one stop rule. They are transformers'
objects, made for its layout; so they are shown the rectangle that its own loop would show them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..contracts.specs import StepSpec
from ..contracts.steps import Step

OF_ROWS = frozenset({"ragged", "reads_history"})


def rectangle(input_ids: Tensor, lengths: Tensor, prompt_lengths: Tensor, prompt: int, pad: int) -> Tensor:
    """(R, T) int64, right-padded, (R,) int64 each -> (R, T'): each prompt ends with column `prompt`, as `generate` lays
    rows out; the pad id stands before and behind them."""
    before = prompt - prompt_lengths  # (R,)
    width = int((before + lengths).max())
    at = torch.arange(width, device=input_ids.device) - before.unsqueeze(1)  # (T',) - (R, 1) -> (R, T')
    inside = (at >= 0) & (at < lengths.unsqueeze(1))
    return input_ids.gather(1, at.clamp(0, input_ids.shape[1] - 1)).masked_fill(~inside, pad)


class PreparedProcessors:
    """transformers' processors one after another. `prompt` is the width of the ids that `generate` was given."""

    def __init__(self, processors: Sequence[Any], prompt: int, pad: int) -> None:
        self.processors, self.prompt, self.pad = tuple(processors), prompt, pad

    def __call__(
        self, input_ids: Tensor, scores: Tensor, *, lengths: Tensor, prompt_lengths: Tensor
    ) -> Tensor:
        """(R, T) int64, (R, V), (R,) int64, (R,) int64 -> (R, V)."""
        ids = rectangle(input_ids, lengths, prompt_lengths, self.prompt, self.pad)
        for processor in self.processors:
            scores = processor(ids, scores)
        return scores


class PreparedCriteria:
    """transformers' criteria: a row ends where one of them says so. With `scores` they are shown the newest, as a
    tuple; else None, as in a `generate` that keeps none."""

    def __init__(self, criteria: Sequence[Any], prompt: int, pad: int, scores: bool) -> None:
        self.criteria, self.prompt, self.pad, self.scores = tuple(criteria), prompt, pad, scores
        for criterion in self.criteria:
            if hasattr(criterion, "eos_token_id"):
                self.eos_token_id = criterion.eos_token_id

    def __call__(
        self, input_ids: Tensor, scores: Tensor, *, lengths: Tensor, prompt_lengths: Tensor
    ) -> Tensor:
        """(R, T) int64, (R, V), (R,) int64, (R,) int64 -> (R,) bool."""
        ids = rectangle(input_ids, lengths, prompt_lengths, self.prompt, self.pad)
        done = torch.zeros(len(ids), dtype=torch.bool, device=ids.device)
        for criterion in self.criteria:
            done = done | criterion(ids, (scores,) if self.scores else None)
        return done

    def limit(self, prompt_lengths: Tensor) -> Tensor:
        """(R,) int64 -> (R,) int64, the greatest length a row can reach."""
        widths = [length for each in self.criteria if (length := getattr(each, "max_length", None))]
        most = torch.full_like(prompt_lengths, 2**62)
        return prompt_lengths + (min(widths) - self.prompt) if widths else most


def processors_step(processors: Sequence[Any], prompt: int, pad: int) -> Step:
    """A processor of a run."""
    return Step(
        StepSpec(
            "prepared_by_generate",
            "processor",
            lambda: PreparedProcessors(processors, prompt, pad),
            traits=OF_ROWS,
        )
    )


def criteria_step(criteria: Sequence[Any], prompt: int, pad: int, scores: bool) -> Step:
    """A stop rule of a run. transformers' own criteria keep nothing that rows could take along."""
    own = all(type(each).__module__.startswith("transformers.") for each in criteria)
    traits = OF_ROWS | (frozenset({"stateless"}) if own else frozenset())
    return Step(
        StepSpec(
            "prepared_by_generate",
            "stop",
            lambda: PreparedCriteria(criteria, prompt, pad, scores),
            traits=traits if scores else traits | {"ids_only"},
        )
    )
