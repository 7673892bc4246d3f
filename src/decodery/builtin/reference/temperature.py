"""Temperature: how sharp the distribution is."""

from __future__ import annotations

from torch import Tensor


def temperature(scores: Tensor, temperature: float) -> Tensor:
    """Divide every score, so that less than 1 sharpens and more flattens: (B, V) float -> (B, V), same dtype.

    The Boltzmann distribution of Ackley, Hinton and Sejnowski (1985).
    """
    return scores / temperature


class Temperature:
    """`temperature` is greater than 0; 1 changes nothing."""

    def __init__(self, *, temperature: float) -> None:
        self.temperature = temperature

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """(R, T) int64, (R, V) float -> (R, V)."""
        return scores if self.temperature == 1 else temperature(scores, self.temperature)
