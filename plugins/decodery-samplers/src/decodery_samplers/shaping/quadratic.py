"""Quadratic sampling (smooth sampling): a parabola through the best logit instead of a line."""

from __future__ import annotations

import torch
from torch import Tensor

FARTHEST = -1e12
"""A logit this far below the best has no probability whatever the curve, and its cube is still a float32."""


def quadratic(scores: Tensor, factor: float, curve: float = 1.0) -> Tensor:
    """`x' = max x - k * factor * d**2 + s * factor * d**3` with d = x - max x: (R, V) float -> (R, V), same dtype.

    k = (3 - curve) / 2, s = (curve - 1) / 2. The maximum is the row's own. Kalomaze's smoothing factor and curve:
    https://github.com/oobabooga/text-generation-webui/pull/5403 and 5551.
    """
    k, s = (3 - curve) / 2, (curve - 1) / 2
    best = scores.amax(dim=-1, keepdim=True)
    distance = (scores - best).clamp(min=FARTHEST)
    bent = best - k * factor * distance**2 + s * factor * distance**3
    bent = bent.clamp(min=torch.finfo(scores.dtype).min)
    return torch.where(scores.isneginf(), scores, bent)


class Quadratic:
    """`factor` = 0 changes nothing."""

    def __init__(self, *, factor: float, curve: float = 1.0) -> None:
        self.factor, self.curve = factor, curve

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """(R, T) int64, (R, V) float -> (R, V)."""
        return scores if self.factor == 0 else quadratic(scores, self.factor, self.curve)
