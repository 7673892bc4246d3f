"""Top-n-sigma: a cut by the spread of the logits, which temperature does not move."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from ..rows.filters import ban

Variant = Literal["population", "tgw"]


def top_n_sigma(scores: Tensor, n: float, variant: Variant = "population", min_keep: int = 1) -> Tensor:
    """Keep `x >= max x - n * sd(x)`: (R, V) float -> (R, V), same dtype.

    The standard deviation is the population's, over the tokens that are still allowed. text-generation-webui's
    (`tgw`) divides by V - 1 and counts banned tokens as logits of 0. Tang et al. (2024),
    https://arxiv.org/abs/2411.07641; llama.cpp's top-n-sigma.
    """
    wide, banned = scores.double(), scores.isneginf()
    best = wide.amax(dim=-1, keepdim=True)  # (R, V) -> (R, 1)
    known = wide.masked_fill(banned, 0.0)
    if variant == "tgw":
        count = wide.shape[-1] * (~banned).any(dim=-1, keepdim=True)
        mean = known.sum(dim=-1, keepdim=True) / count
        squares, freedom = (known - mean) ** 2, count - 1
    else:
        count = (~banned).sum(dim=-1, keepdim=True)
        mean = known.sum(dim=-1, keepdim=True) / count
        squares, freedom = ((known - mean) ** 2).masked_fill(banned, 0.0), count
    # A vocabulary of one token has no spread by `tgw`: NaN, which is below nothing, so nothing is cut.
    spread = (squares.sum(dim=-1, keepdim=True) / freedom).sqrt()
    return ban(scores, wide < best - n * spread, min_keep)


class TopNSigma:
    """`n` = 0 changes nothing, as in llama.cpp."""

    def __init__(self, *, n: float, variant: Variant = "population", min_keep: int = 1) -> None:
        self.n, self.variant, self.min_keep = n, variant, min_keep

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """(R, T) int64, (R, V) float -> (R, V)."""
        return scores if self.n == 0 else top_n_sigma(scores, self.n, self.variant, self.min_keep)
