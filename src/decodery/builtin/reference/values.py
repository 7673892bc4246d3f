"""Steps that look at the values of the scores alone and choose nothing: repair and normalisation."""

from __future__ import annotations

import torch
from torch import Tensor


def remove_invalid_values(scores: Tensor) -> Tensor:
    """NaN becomes 0, infinities the greatest and the least number of the dtype: (B, V) float -> (B, V), same dtype.

    A banned token is not banned any more, only hopeless, as after InfNanRemoveLogitsProcessor of transformers.
    """
    limits = torch.finfo(scores.dtype)
    return scores.nan_to_num(nan=0.0, posinf=limits.max, neginf=limits.min)


def renormalize(scores: Tensor) -> Tensor:
    """Log-probabilities in the place of scores: (B, V) float -> (B, V), same dtype."""
    return scores.log_softmax(dim=-1)


class RemoveInvalidValues:
    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """(R, T) int64, (R, V) float -> (R, V)."""
        return remove_invalid_values(scores)


class Renormalize:
    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """(R, T) int64, (R, V) float -> (R, V)."""
        return renormalize(scores)
