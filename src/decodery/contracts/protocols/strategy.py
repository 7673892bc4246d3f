"""What chooses: a token at a time, or in a loop of its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

from .random import Rng

if TYPE_CHECKING:
    from torch import Tensor

    from .run import Run


class TokenStrategy(Protocol):
    """A per-token strategy: the engine owns the loop. One that keeps something a row has `observe`, `select` and
    `rewind` too, as a processor has."""

    def choose(self, scores: Tensor, rng: Rng) -> Tensor:
        """(R, V) processed scores -> (R,) int64."""
        ...


class Strategy(Protocol):
    """A strategy that owns its loop, written against `Run`.

    `decode` may be a generator: at each `yield` what was appended so far is final and a stream shows it. One that only
    knows its result at the end yields nothing. Every unfinished row is active in such a run, whatever the lengths.
    """

    def decode(self, run: Run) -> Iterator[None] | None: ...
