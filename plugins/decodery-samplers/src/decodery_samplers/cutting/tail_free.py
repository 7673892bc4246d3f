"""Tail-free sampling: the tail begins where the sorted probabilities stop bending."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from ..rows.filters import keep_first, probabilities

Variant = Literal["hf", "kobold"]


def tail_free(scores: Tensor, z: float, variant: Variant = "hf", min_keep: int = 1) -> Tensor:
    """Cut where the cumulated curvature of the sorted probabilities first exceeds `z`.

    (R, V) float -> (R, V), same dtype. Curvature is the absolute second difference, normalised to sum 1. Of the
    three tokens that a difference spans, `hf` keeps two (the cut is after the middle one), `kobold` and the old
    llama.cpp one. A row without curvature, or of less than three tokens, keeps everything. Phénix and Egan (2019),
    https://www.trentonbricken.com/Tail-Free-Sampling/.
    """
    if scores.shape[-1] < 3:
        return scores
    p = probabilities(scores).sort(dim=-1, descending=True).values
    bend = p.diff(n=2, dim=-1).abs()  # (R, V) -> (R, V - 2)
    total = bend.sum(dim=-1, keepdim=True)
    share = (bend / total).cumsum(dim=-1)
    count = (share <= z).sum(dim=-1) + (1 if variant == "hf" else 0)  # (R, V - 2) -> (R,)
    straight = total.squeeze(-1) <= 1e-15  # what rounding leaves of equal probabilities
    return keep_first(scores, count.masked_fill(straight, scores.shape[-1]), min_keep)


class TailFree:
    """`z` = 1 changes nothing."""

    def __init__(self, *, z: float, variant: Variant = "hf", min_keep: int = 1) -> None:
        self.z, self.variant, self.min_keep = z, variant, min_keep

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """(R, T) int64, (R, V) float -> (R, V)."""
        return scores if self.z == 1 else tail_free(scores, self.z, self.variant, self.min_keep)
