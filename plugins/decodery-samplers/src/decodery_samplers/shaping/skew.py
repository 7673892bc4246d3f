"""Skew: a power of the cumulative distribution, best token first."""

from __future__ import annotations

from math import exp

import torch
from torch import Tensor

from ..rows.filters import descending

# Below it `1 - (1 - t)**e` is `e * t` to the last place, and t may be too small to be a float64 at all.
TINY = -20.0


def skew(scores: Tensor, skew: float) -> Tensor:
    """Raise the descending CDF to `exp(skew)`: (R, V) float -> (R, V) log-probabilities, same dtype.

    Greater than 0 moves probability from the best tokens down the order, less than 0 up. Of equal tokens the
    small ids come first, and `skew` tells them apart. exllamav2's sampler.

    With C the CDF up to a token and p its own probability, the token's new one is `C**e - (C - p)**e`, computed as
    `C**e * (1 - (1 - p/C)**e)`, so that the tail keeps its digits.
    """
    power = exp(skew)
    ordered, ids = descending(scores.double())
    log_p = ordered.log_softmax(dim=-1)
    log_cdf = log_p.logcumsumexp(dim=-1).clamp(max=0.0)
    share = (log_p - log_cdf).clamp(max=0.0)  # log(p / C); 0 for the best token
    exact = torch.log(-torch.expm1(power * torch.log1p(-share.exp())))
    moved = power * log_cdf + torch.where(share < TINY, share + skew, exact)
    return torch.empty_like(moved).scatter(-1, ids, moved).to(scores.dtype)


class Skew:
    """`skew` = 0 changes nothing."""

    def __init__(self, *, skew: float) -> None:
        self.skew = skew

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """(R, T) int64, (R, V) float -> (R, V)."""
        return scores if self.skew == 0 else skew(scores, self.skew)
