"""The bound processors as one function of the scores.

The reference meaning of a recipe is its steps one after another, in float32, on a tensor that the caller never sees
changed; a faster plan may only replace a run of steps by a kernel that draws the same token.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ..kernels.draw import bad_rows
from .apply import BoundStep, View

Watcher = Callable[[str, Tensor, Tensor], None]
"""Called with a processor's name, its scores before and after: (R, V) each."""


def as_scores(logits: Tensor) -> Tensor:
    """(R, V) of any float dtype -> float32, or float64 as it is: filters and draws lose tokens in half precision."""
    return logits if logits.dtype in (torch.float32, torch.float64) else logits.float()


class Plan:
    """The processors of one run, in order."""

    def __init__(self, processors: Sequence[BoundStep]) -> None:
        self.processors = tuple(processors)

    def __call__(self, view: View, logits: Tensor, watch: Watcher | None = None) -> Tensor:
        """(R, V) raw -> (R, V) processed. The same tensor comes back when every step is idle."""
        scores = as_scores(logits)
        for step in self.processors:
            before, scores = scores, step(view, scores)
            if watch is not None:
                watch(step.name, before, scores)
        return scores

    def observe(self, tokens: Tensor, active: Tensor) -> None:
        """(R,) int64, (R,) bool: one accepted token in every active row."""
        for step in self.processors:
            step.observe(tokens, active)

    def blame(self, view: View, logits: Tensor, row: int) -> tuple[str, str]:
        """Which processor made `row` bad, and how: ("top_p", "every token is banned"). Runs the steps once more for
        that row; applying changes no state, by contract."""
        scores = as_scores(logits)
        if bad_rows(scores)[row]:
            return "model", _what(scores[row])
        alone = View(view.input_ids, view.lengths, view.prompt_lengths, view.host_lengths, [row])
        for step in self.processors:
            scores = step(alone, scores)
            if bad_rows(scores)[row]:
                return step.name, _what(scores[row])
        # Clean this time: a step whose call itself moves its state did it, and cannot be made to do it again.
        suspects = [step.name for step in self.processors if not step.stateless] or ["model"]
        return " or ".join(suspects), "scores that cannot be drawn from"


def _what(scores: Tensor) -> str:
    if scores.isnan().any():
        return "NaN scores"
    return "every token is banned" if bool((scores == -torch.inf).all()) else "infinite scores"
