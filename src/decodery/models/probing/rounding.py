"""How far rounding may lead: two ways to the same logits are never quite equal."""

from __future__ import annotations

import torch
from torch import Tensor

ALLOWED = {torch.float16: 2e-2, torch.bfloat16: 1.5e-1}
"""Of log-probabilities. Half precision rounds differently in every shape of a matrix product."""
SINGLE = 2e-3
STEPS = 16
"""Roundings of the largest logit that are allowed where that is more. Random Llamas of 1 and 8 billion parameters on a
GPU differ by 2 (TF32), 4 (float16) and 6 (bfloat16); a cache that lies, by the spread of the logits."""
HALVES = (torch.float16, torch.bfloat16)
NEVER = 1e4
"""Logits beyond this size are a way of saying "never", no numbers that were computed."""
MATMUL = {"high": torch.float16, "medium": torch.bfloat16}
"""What `set_float32_matmul_precision` rounds to on CUDA: TF32 has float16's digits."""


def tolerance(logits: Tensor, weights: torch.dtype) -> float:
    """What rounding may explain in a difference of log-probabilities of `logits` (..., V) of a model with such
    weights. Logits that a model hands out in float32 are no better than the layers below."""
    dtype = coarsest(logits.dtype, weights, _computed(logits.device))
    values = logits.detach().abs()
    largest = float(torch.where(values < NEVER, values, 0.0).max()) if values.numel() else 0.0
    return max(ALLOWED.get(dtype, SINGLE), STEPS * torch.finfo(dtype).eps * largest)


def gap_of(gaps: Tensor, *dtypes: torch.dtype) -> float:
    """(...) differences in several positions -> the one that counts.

    In half precision rounding alone sends a token to another expert now and then, and moves it by whole units; a cache
    that lies does so in most positions. There it is the median, else the greatest.
    """
    return float(gaps.median() if coarsest(*dtypes) in HALVES else gaps.max())


def coarsest(*dtypes: torch.dtype | None) -> torch.dtype:
    """The floating one with the fewest digits, of 8 bits or more that arithmetic is done in."""
    known = [d for d in dtypes if d in (torch.float64, torch.float32, torch.float16, torch.bfloat16)]
    return max(known or [torch.float32], key=lambda dtype: torch.finfo(dtype).eps)


def _computed(device: torch.device) -> torch.dtype | None:
    """What products are rounded to on `device`, whatever the weights are: autocast, TF32. None where nobody says."""
    if torch.is_autocast_enabled(device.type):
        return torch.get_autocast_dtype(device.type)
    return MATMUL.get(torch.get_float32_matmul_precision()) if device.type == "cuda" else None
