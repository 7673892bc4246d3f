"""How a session's state is handled: watched during one step, tried, and only then believed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from torch import Tensor

from ..forward import one_by_one
from ..state.handling import Handling, copied, moved, watched
from ..state.tree import Leaf, Path
from .verify import Tried, random_ids

PRIMES = (7, 5, 3)
"""Batches that are unlikely to be the size of anything else; a pool may be too small for the first."""
FED = 4


class Watched(Tried, Protocol):
    def leaves(self) -> dict[Path, Leaf]:
        """The state as it is."""
        ...


def learn(
    open_session: Callable[[int, int], Watched],
    vocab_size: int | None,
    batches: Sequence[int] = PRIMES,
    *,
    single: bool,
    every: bool,
) -> Handling:
    """What one step changes in the state; nothing where the model fails on such batches."""
    for batch in batches:
        ids = random_ids(batch, FED + 1, vocab_size)
        try:
            # Other tokens first: a cache that is not cleared may hold the very values that are to be seen changing.
            _step(open_session, (ids + 1) % (vocab_size or 2), single)
            before, after = _step(open_session, ids, single)
        except Exception:
            continue
        return watched(before, after, batch, every)
    return Handling()


def changes(open_session: Callable[[int, int], Watched], vocab_size: int | None) -> set[Path] | None:
    """Paths of what one step changes in the state; None where that cannot be seen."""
    ids = random_ids(2, FED + 1, vocab_size)
    try:
        _step(open_session, (ids + 1) % (vocab_size or 2), False)
        before, after = _step(open_session, ids, False)
    except Exception:
        return None
    return moved(before, after)


def _step(
    open_session: Callable[[int, int], Watched], ids: Tensor, single: bool
) -> tuple[dict[Path, Leaf], dict[Path, Leaf]]:
    """The state before and after the last column of ids (B, T) int64."""
    session = open_session(ids.shape[0], ids.shape[1])
    try:
        for piece in one_by_one(ids[:, :-1]) if single else [ids[:, :-1]]:
            session.advance(piece, 1)
        before = copied(session.leaves())
        session.advance(ids[:, -1:], 1)
        return before, copied(session.leaves())
    finally:
        session.close()
