"""P-less: a cut without a parameter, at the probability that two draws agree."""

from __future__ import annotations

from torch import Tensor

from ..rows.filters import ban, probabilities

# Of equal probabilities the sum of squares is each of them, up to rounding.
SLACK = 1 - 1e-12


def p_less(scores: Tensor, min_keep: int = 1) -> Tensor:
    """Keep `p >= sum p**2`: (R, V) float -> (R, V), same dtype. Tan et al. (2025), https://arxiv.org/abs/2509.23234."""
    p = probabilities(scores)
    return ban(scores, p < (p * p).sum(dim=-1, keepdim=True) * SLACK, min_keep)


class PLess:
    """It has nothing to set but how many tokens it must leave."""

    def __init__(self, *, min_keep: int = 1) -> None:
        self.min_keep = min_keep

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """(R, T) int64, (R, V) float -> (R, V)."""
        return p_less(scores, self.min_keep)
