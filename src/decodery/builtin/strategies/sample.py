"""Sampling from the whole distribution that the processors leave."""

from __future__ import annotations

from torch import Tensor

from ...contracts.protocols import Rng


class Sample:
    """One draw a row from softmax(scores)."""

    def choose(self, scores: Tensor, rng: Rng) -> Tensor:
        """(R, V) float -> (R,) int64."""
        return rng.categorical(scores)
