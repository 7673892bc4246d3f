"""P-step: a cut at the first steep step of the sorted probabilities."""

from __future__ import annotations

from torch import Tensor

from ..rows.filters import keep_first, probabilities


def p_step(scores: Tensor, r: float, min_keep: int = 1) -> Tensor:
    """Cut after the first token whose successor is less than `r` times as likely.

    (R, V) float -> (R, V), same dtype. Kalomaze (2024), https://github.com/ggml-org/llama.cpp/pull/5675.
    """
    p = probabilities(scores).sort(dim=-1, descending=True).values
    steep = p[..., 1:] < r * p[..., :-1]  # (R, V - 1)
    before = (steep.cumsum(dim=-1) == 0).sum(dim=-1)  # steps that come before the first steep one: (R,)
    return keep_first(scores, before + 1, min_keep)


class PStep:
    """`r` = 0 changes nothing."""

    def __init__(self, *, r: float, min_keep: int = 1) -> None:
        self.r, self.min_keep = r, min_keep

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """(R, T) int64, (R, V) float -> (R, V)."""
        return scores if self.r == 0 else p_step(scores, self.r, self.min_keep)
