"""Adaptive-p: tokens whose probability is near a target, which moves so that the mean of the text stays there."""

from __future__ import annotations

import torch
from torch import Tensor

from decodery.contracts.protocols import Rng

from ..rows.filters import probabilities
from ..rows.journal import Journal
from .alone import alone

WIDTH, PEAK, SHARPNESS = 0.3, 5.0, 10.0


def near_target(scores: Tensor, target: Tensor) -> Tensor:
    """`5 - 10 d**2 / (1 + d)`, d = |p - target| / 0.3: (R, V) float, (R,) float64 -> (R, V) float64.

    A parabola near the target, a line far from it; bans stay. llama.cpp's adaptive-p (pull request 17927), of
    MrJackSpade's.
    """
    distance = (probabilities(scores) - target.unsqueeze(-1)).abs() / WIDTH
    return (PEAK - SHARPNESS * distance**2 / (1 + distance)).masked_fill(scores.isneginf(), -torch.inf)


def moved_target(target: float, weighted: Tensor, weight: Tensor) -> Tensor:
    """`2 target - (mean of the probabilities so far)`, 0 to 1: (R,) float64 sums -> (R,) float64."""
    return (2 * target - weighted / weight).clamp(0.0, 1.0)


class AdaptiveP:
    """A strategy. Less than 0, `target` is off: a plain draw.

    The mean is exponential: each token's share falls by `decay` with every one after it, as if the row had been on
    target before. The probability that counts is the token's own, before the transformation.
    """

    def __init__(self, *, target: float = -1.0, decay: float = 0.9) -> None:
        self.target, self.decay = target, decay
        self._sums = Journal([target / (1 - decay), 1 / (1 - decay)])
        self._pending: Tensor | None = (
            None  # probabilities of the last answer, which the next token chooses from
        )

    def choose(self, scores: Tensor, rng: Rng) -> Tensor:
        """(R, V) float -> (R,) int64."""
        if self.target < 0:
            return rng.categorical(scores)
        weighted, weight = self._sums.current(len(scores), scores.device).unbind(-1)  # (R, 2) -> 2 x (R,)
        self._pending = probabilities(scores)
        return rng.categorical(near_target(scores, moved_target(min(self.target, 1.0), weighted, weight)))

    def observe(self, tokens: Tensor, active: Tensor) -> None:
        """(R,) int64, (R,) bool."""
        sums = self._sums.current(len(tokens), tokens.device)
        if self._pending is not None:
            p = self._pending.gather(-1, tokens.unsqueeze(-1))  # (R, V) -> (R, 1)
            moved = torch.cat((p, torch.ones_like(p)), dim=-1) + self.decay * sums  # (R, 2)
            sums = torch.where(p > 0, moved, sums)
        self._sums.push(sums, active)
        self._pending = None

    def select(self, rows: Tensor) -> None:
        """(R',) int64."""
        self._sums.select(rows)
        self._pending = None if self._pending is None else self._pending[rows]

    def rewind(self, counts: Tensor) -> None:
        """(R,) int64."""
        self._sums.rewind(counts)
        self._pending = None


class AdaptivePStep(AdaptiveP):
    """The same as a step that draws by itself and leaves one token; with `target` less than 0 it changes nothing."""

    def __init__(self, *, rng: Rng, target: float = -1.0, decay: float = 0.9) -> None:
        super().__init__(target=target, decay=decay)
        self._rng = rng

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """(R, T) int64, (R, V) float -> (R, V)."""
        return scores if self.target < 0 else alone(scores, self.choose(scores, self._rng))
