"""What a strategy holds between two calls of its run: drafts that were verified, whole texts with a score."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, slots=True)
class Drafts:
    """The drafts (R, K) int64 that were verified last, the model's logits (R, K + 1, V) and the processed scores,
    K + 1 of (R, V)."""

    tokens: Tensor
    raw: Tensor
    scores: list[Tensor]


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """A result that a ranking strategy emitted: new tokens only, best first among those of its prompt."""

    prompt: int
    tokens: tuple[int, ...]
    score: float
    reason: str
