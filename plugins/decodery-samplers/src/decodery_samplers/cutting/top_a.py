"""Top-a: a bound that falls with a power of the best probability."""

from __future__ import annotations

from torch import Tensor

from ..rows.filters import ban, probabilities


def top_a(scores: Tensor, a: float, power: float = 2.0, min_keep: int = 1) -> Tensor:
    """Keep `p >= a * max(p) ** power`: (R, V) float -> (R, V), same dtype.

    Peng Bo, https://github.com/BlinkDL/RWKV-LM; x-transformers has the same with both numbers free.
    """
    p = probabilities(scores)
    return ban(scores, p < a * p.amax(dim=-1, keepdim=True) ** power, min_keep)


class TopA:
    """`a` = 0 changes nothing."""

    def __init__(self, *, a: float, power: float = 2.0, min_keep: int = 1) -> None:
        self.a, self.power, self.min_keep = a, power, min_keep

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """(R, T) int64, (R, V) float -> (R, V)."""
        return scores if self.a == 0 else top_a(scores, self.a, self.power, self.min_keep)
