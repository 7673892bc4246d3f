"""One draw a row from processed scores: the reference meaning that every faster draw must reproduce."""

from __future__ import annotations

import torch
from torch import Tensor


def inverse_cdf(scores: Tensor, uniform: Tensor) -> Tensor:
    """The first token, in ascending id order, whose cumulative weight exceeds `uniform * total`.

    Shape: scores (R, V) float, -inf banned, one finite score a row at least; uniform (R,) float64 in [0, 1)
    -> (R,) int64.
    Weights are exp(score - max) in float64, so a banned token can never be drawn, and summing in id order makes the
    answer independent of how the survivors were found.
    """
    scores = scores.double()
    weights = (scores - scores.amax(-1, keepdim=True)).exp()  # (R, V)
    cumulative = weights.cumsum(-1)  # (R, V)
    total = cumulative[:, -1:]  # (R, V) -> (R, 1)
    # u < 1, but u * total may round up to total, which nothing exceeds.
    threshold = torch.minimum(uniform.unsqueeze(-1) * total, torch.nextafter(total, torch.zeros_like(total)))
    return torch.searchsorted(cumulative, threshold, right=True).squeeze(-1)  # (R, 1) -> (R,)


def multinomial(scores: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """transformers' draw, `torch.multinomial(softmax(scores), 1)`: its tokens and its use of the generator.

    Shape: scores (R, V) float -> (R,) int64. `generator` None is torch's global one.
    """
    return torch.multinomial(scores.softmax(-1), num_samples=1, generator=generator).squeeze(
        1
    )  # (R, 1) -> (R,)


def bad_rows(scores: Tensor) -> Tensor:
    """Rows that no token can be drawn from: a NaN, an infinite score, or everything banned.

    Shape: scores (R, V) float -> (R,) bool. One reduction: a NaN anywhere makes the maximum NaN.
    """
    return ~scores.amax(-1).isfinite()
