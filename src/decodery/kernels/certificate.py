"""When rounding could decide: the margins within which a fused step does not trust its own arithmetic.

A fused step computes with the survivors alone, in float64; the reference with the whole row, in float32. Both agree
wherever no comparison is nearer to equality than the margins below. What is nearer is *unsure*: a row is flagged when
an unsure token could be the one that is drawn, and the reference decides that row.
"""

from __future__ import annotations

from torch import Tensor

RACE = 4e-6
"""Relative gap of the two best p / q: two float32 softmax values, each to some ten units in the last place."""
MASS = 2e-6
"""Absolute error of a cumulative probability."""
RATIO = 5e-6
"""Relative error of p / p_1."""
FLOOR = 2e-5
"""Relative error of one probability: the row's sum is in it."""
ENTROPY = 2e-5
"""Absolute error of the entropy, of a surprise, and so of their distance, per nat."""
SIGMA = 1e-4
"""Error of a standard deviation and of what is compared with it, relative to both."""
CUSTOM = 1e-5
"""What `Truncation.keep` of the kind "custom" calls undecided."""
WEIGHT = 1e-12
"""Relative error of a sum of float64 weights, whatever their order."""
LOOSE = 2e-5
"""The relative error of a weight after a map whose sums may round otherwise."""


def close_race(quotients: Tensor, margin: float = RACE) -> tuple[Tensor, Tensor]:
    """The winner of each row and whether a second is too near: (R, K) float64 -> (R,) int64 places, (R,) bool.

    Anything that is not a number counts as too near.
    """
    best = quotients.topk(min(2, quotients.shape[-1]), dim=-1)
    winner = best.indices[:, 0]  # (R, 2) -> (R,)
    if quotients.shape[-1] == 1:
        return winner, ~best.values[:, 0].isfinite()
    first, second = best.values.unbind(-1)  # (R, 2) -> 2 x (R,)
    return winner, ~(first * (1 - margin) > second)


def near_edge(below: Tensor, upto: Tensor, threshold: Tensor, slack: Tensor) -> Tensor:
    """Whether the threshold is too near to an end of the interval that it fell into: (R,) float64 each -> (R,) bool."""
    return ~((threshold - below > slack) & (upto - threshold > slack))
