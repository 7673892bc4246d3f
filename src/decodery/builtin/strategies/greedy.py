"""Greedy decoding."""

from __future__ import annotations

from torch import Tensor

from ...contracts.protocols import Rng


class Greedy:
    """The best token of each row, the smallest id among equals."""

    def choose(self, scores: Tensor, rng: Rng) -> Tensor:
        """(R, V) float -> (R,) int64."""
        return scores.argmax(dim=-1)
