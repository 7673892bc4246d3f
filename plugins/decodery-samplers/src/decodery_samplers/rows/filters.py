"""What every filter does at its end: ban the unlikely, keep the best few.

Probabilities behind a decision are float64 whatever the scores are, so that no rounding of float32 decides.
"""

from __future__ import annotations

from math import inf

import torch
from torch import Tensor


def probabilities(scores: Tensor) -> Tensor:
    """(..., V) float -> (..., V) float64: softmax over what is still allowed."""
    return scores.double().softmax(dim=-1)


def descending(scores: Tensor) -> tuple[Tensor, Tensor]:
    """(..., V) -> values and ids (..., V), the best first; of equals the small ids first."""
    ordered, ids = scores.sort(dim=-1, descending=True, stable=True)
    return ordered, ids


def ban(scores: Tensor, unlikely: Tensor, min_keep: int) -> Tensor:
    """Ban what is `unlikely`, except the `min_keep` best: (R, V) float, (R, V) bool -> (R, V), same dtype."""
    one = min_keep == 1  # the usual case needs no sort
    best = (
        scores.argmax(dim=-1, keepdim=True) if one else descending(scores)[1][..., :min_keep]
    )  # (R, V) -> (R, K)
    return scores.masked_fill(unlikely.scatter(-1, best, False), -inf)


def keep_first(scores: Tensor, count: Tensor, min_keep: int) -> Tensor:
    """Keep the `count` best tokens of each row, at least `min_keep`: (R, V) float, (R,) int64 -> (R, V)."""
    ids = descending(scores)[1]
    places = torch.arange(ids.shape[-1], device=ids.device)
    beyond = places >= count.clamp(min=min_keep).unsqueeze(-1)  # (V,), (R, 1) -> (R, V)
    return scores.masked_fill(torch.empty_like(beyond).scatter(-1, ids, beyond), -inf)
