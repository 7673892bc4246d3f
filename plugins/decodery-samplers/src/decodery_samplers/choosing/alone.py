"""Leaving one token, for steps that draw by themselves."""

from __future__ import annotations

from math import inf

import torch
from torch import Tensor


def alone(scores: Tensor, tokens: Tensor) -> Tensor:
    """Ban all but one token a row: (R, V) float, (R,) int64 -> (R, V), same dtype."""
    at = tokens.unsqueeze(-1)  # (R,) -> (R, 1)
    return torch.full_like(scores, -inf).scatter(-1, at, scores.gather(-1, at))
