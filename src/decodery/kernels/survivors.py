"""Draws from a candidate set: the tokens that the dense draws would give, and flags where rounding could decide."""

from __future__ import annotations

import torch
from torch import Tensor

from . import certificate
from .candidates import Candidates


def inverse_cdf(found: Candidates, uniform: Tensor) -> tuple[Tensor, Tensor]:
    """The row generator's draw: the first survivor in id order whose cumulative weight exceeds `uniform x total`.

    (R,) float64 -> tokens (R,) int64, flags (R,) bool. The weights are the dense draw's own numbers; only the order in
    which zeros are skipped differs, so that a flag means unsure survivors.
    """
    ids, order = found.ids.sort(dim=-1)
    values = found.values.double()
    unordered = (values - values[:, :1]).exp_()
    weights = unordered.gather(-1, order)
    cumulative = weights.cumsum(-1)
    total = cumulative[:, -1]
    threshold = torch.minimum(uniform * total, torch.nextafter(total, torch.zeros_like(total)))
    place = torch.searchsorted(cumulative, threshold.unsqueeze(-1), right=True)  # (R,) -> (R, 1)
    place.clamp_(max=ids.shape[1] - 1)  # NaN rows, which are flagged
    slack = total * (certificate.LOOSE if found.loose else certificate.WEIGHT)
    if found.unsure is not None:
        slack = slack + (unordered * found.unsure).sum(-1)
    upto = cumulative.gather(-1, place).squeeze(-1)  # (R, 1) -> (R,)
    below = upto - weights.gather(-1, place).squeeze(-1)
    return (
        ids.gather(-1, place).squeeze(-1),
        found.flagged | certificate.near_edge(below, upto, threshold, slack),
    )


def race(found: Candidates, exponentials: Tensor) -> tuple[Tensor, Tensor]:
    """torch.multinomial's draw, `argmax(p / q)`: (R, K) float32 q -> tokens (R,) int64, flags (R,) bool."""
    margin = certificate.RACE + (certificate.LOOSE if found.loose else 0.0)
    winner, close = certificate.close_race(found.weights() / exponentials.double(), margin)
    flags = found.flagged | close
    if found.unsure is not None:
        flags = flags | found.unsure.gather(-1, winner.unsqueeze(-1)).squeeze(-1)  # (R,) -> (R, 1) -> (R,)
    return found.ids.gather(-1, winner.unsqueeze(-1)).squeeze(-1), flags


def best(found: Candidates, nearly: bool) -> tuple[Tensor, Tensor]:
    """The best candidate, the smallest id among equals -> tokens (R,) int64, flags (R,) bool.

    `nearly`: a map came before, so that scores next to each other may have become equal in the reference.
    """
    top = found.values[:, :1]
    equal = found.values == top
    tokens = found.ids.masked_fill(~equal, torch.iinfo(torch.int64).max).amin(-1)
    flags = found.flagged if found.whole else found.flagged | equal[:, -1]
    if nearly:
        near = (found.values >= top - 4e-6 * (1 + top.abs())) & ~equal
        flags = flags | near.any(-1)
    if found.unsure is not None:
        flags = flags | (found.unsure & equal).any(-1)
    return tokens, flags
