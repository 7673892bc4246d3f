"""Dynamic temperature: higher where the model is unsure."""

from __future__ import annotations

from torch import Tensor

COLDEST = 1e-6
"""What a temperature of 0 counts as: the best tokens alone keep a probability, and no score overflows."""


def dynamic_temperature(scores: Tensor, temperature: float, range: float, exponent: float = 1.0) -> Tensor:
    """Divide by `T = lo + (hi - lo) * (H / ln n)**exponent`: (R, V) float -> (R, V), same dtype.

    lo = max(0, temperature - range), hi = temperature + range, H the entropy of the row in nats, n its allowed
    tokens; a row of one token has no entropy to speak of and gets `lo`. Zhu et al. (2023),
    https://arxiv.org/abs/2309.02772; llama.cpp's temp-ext.
    """
    low, high = max(0.0, temperature - range), temperature + range
    log_p = scores.double().log_softmax(dim=-1)
    entropy = -(log_p.exp() * log_p.masked_fill(log_p.isneginf(), 0.0)).sum(dim=-1, keepdim=True)
    greatest = (~scores.isneginf()).sum(dim=-1, keepdim=True).clamp(min=2).double().log()
    share = (entropy / greatest).clamp(0.0, 1.0)
    heat = (low + (high - low) * share**exponent).clamp(min=COLDEST)  # (R, 1)
    return (scores / heat).to(scores.dtype)


class DynamicTemperature:
    """`range` = 0 is a plain temperature; with temperature 1 it changes nothing."""

    def __init__(self, *, temperature: float, range: float = 0.0, exponent: float = 1.0) -> None:
        self.temperature, self.range, self.exponent = temperature, range, exponent

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """(R, T) int64, (R, V) float -> (R, V)."""
        if self.range == 0:
            return scores if self.temperature == 1 else scores / self.temperature
        return dynamic_temperature(scores, self.temperature, self.range, self.exponent)
