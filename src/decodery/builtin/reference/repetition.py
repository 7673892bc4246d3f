"""Repetition penalty: tokens that occurred become less likely."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from ...contracts.errors import NeedsBind
from .rows import lengths_of, token_set

Scope = Literal["all", "prompt", "output"]


def repetition_penalty(scores: Tensor, seen: Tensor, penalty: float) -> Tensor:
    """Divide the positive scores of seen tokens by `penalty`, multiply the negative ones.

    (R, V) float, (R, V) bool -> (R, V) of the dtype of `scores`. However often a token occurred, it is
    penalised once. Keskar et al. (2019), https://arxiv.org/abs/1909.05858.
    """
    return torch.where(seen, torch.where(scores < 0, scores * penalty, scores / penalty), scores)


def counted_slots(
    input_ids: Tensor, lengths: Tensor, prompt_lengths: Tensor | None, window: int | None, scope: Scope
) -> Tensor:
    """The slots that count: among the newest `window` tokens of the text, and in the part that `scope` names.

    (R, T) int64, (R,) int64, (R,) int64 or None where the scope is the whole text -> (R, T) bool.
    Raises `NeedsBind` when the scope asks for prompt lengths and there are none.
    """
    slot = torch.arange(input_ids.shape[1], device=input_ids.device)  # (T,)
    counted = slot < lengths[:, None]
    if window is not None:
        counted &= slot >= lengths[:, None] - window
    if scope == "all":
        return counted
    if prompt_lengths is None:
        raise NeedsBind(
            f"repetition_penalty: scope {scope!r} was asked of rows whose prompt lengths are not known",
            remedy="bind the pipeline to its prompt: pipe.bind(prompt=x)",
        )
    in_prompt = slot < prompt_lengths[:, None]
    return counted & (in_prompt if scope == "prompt" else ~in_prompt)


def far_half(counted: Tensor) -> Tensor:
    """The older half of the slots that count, the smaller one of an odd number: (R, T) bool -> (R, T) bool."""
    return counted & (counted.cumsum(dim=-1) <= counted.sum(dim=-1, keepdim=True) // 2)


class RepetitionPenalty:
    """`penalty` is greater than 0; 1 changes nothing, less than 1 invites repetition.

    With `slope` less than 1 a token that occurs in the older half only, of what `window` and `scope` leave, gets the
    milder penalty `1 + (penalty - 1) * slope`, as KoboldAI's rep_pen_slope does.

    `padding` (R,) int64: pads that begin the rows in transformers' layout. Its `generate` does not penalise
    them, although every other step of it sees them.
    """

    def __init__(
        self,
        *,
        penalty: float,
        window: int | None = None,
        scope: Scope = "all",
        slope: float = 1.0,
        padding: Tensor | None = None,
    ) -> None:
        self.penalty, self.window, self.scope, self.slope = penalty, window, scope, slope
        self.padding = padding

    def __call__(
        self,
        input_ids: Tensor,
        scores: Tensor,
        *,
        lengths: Tensor | None = None,
        prompt_lengths: Tensor | None = None,
    ) -> Tensor:
        """(R, T) int64, (R, V) float, (R,) int64, (R,) int64 -> (R, V)."""
        if self.penalty == 1:
            return scores
        lengths = lengths_of(input_ids, lengths)
        counted = counted_slots(input_ids, lengths, prompt_lengths, self.window, self.scope)
        if self.padding is not None:
            counted &= torch.arange(input_ids.shape[1], device=input_ids.device) >= self.padding[:, None]
        vocab_size = scores.shape[-1]
        if self.slope == 1:
            return repetition_penalty(scores, token_set(input_ids, counted, vocab_size), self.penalty)
        far = far_half(counted)
        near = token_set(input_ids, counted & ~far, vocab_size)
        far_only = token_set(input_ids, far, vocab_size) & ~near
        milder = 1 + (self.penalty - 1) * self.slope
        return repetition_penalty(repetition_penalty(scores, near, self.penalty), far_only, milder)

    def select(self, rows: Tensor) -> None:
        """(R',) int64: the rows' own padding goes with them."""
        self.padding = None if self.padding is None else self.padding[rows]
