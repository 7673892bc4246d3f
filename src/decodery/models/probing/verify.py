"""Is a cache true? Cached steps against the whole context in one call."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from ..forward import one_by_one

ROWS, FIRST, TOTAL, BACK = 2, 4, 10, 2
TOLERANCE = {torch.float16: 2e-2, torch.bfloat16: 1.5e-1}
"""Of log-probabilities. Half precision rounds differently in every shape of a matrix product."""
SINGLE_TOLERANCE = 2e-3


class CachedSession(Protocol):
    """What is verified: a session that feeds columns after those it has seen."""

    def advance(self, ids: Tensor, columns: int) -> Tensor:
        """(B, T) int64 -> the newest `columns` positions or fewer, (B, K, V), in one call of the model."""
        ...

    def take_back(self, count: int) -> None: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Verdict:
    """difference  the largest of cached one-token steps, in log-probability, against the whole context
    allowed     what rounding explains
    chunks      several tokens a call are right after the first call
    rewind      tokens can be taken back by counting positions backwards
    compared    tokens that were fed; fewer than three prove nothing
    """

    difference: float
    allowed: float
    chunks: bool
    rewind: bool
    compared: int

    @property
    def holds(self) -> bool:
        return self.difference <= self.allowed


def verify_cache(
    open_session: Callable[[int, int], CachedSession],
    vocab_size: int | None,
    max_length: int | None,
    plain: Callable[[Tensor], Tensor] | None = None,
) -> Verdict:
    """Feed random tokens whole, one by one, in a chunk, and again after a rewind; compare the newest logits.

    `open_session(rows, length)` opens a fresh session each time. `plain(ids (B, T)) -> (B, T', V)` is a call
    without positions, for models that have one: it has to agree too. What the model raises passes through.
    """
    total = min(TOTAL, max_length or TOTAL)
    first = max(1, min(FIRST, total - 2))
    ids = random_ids(ROWS, total, vocab_size)
    # First of all, since a plain call may move a pointer into the cache.
    expected = [plain(ids)] if plain is not None else []
    whole = _fed(open_session, ids, [total])[0]
    allowed = tolerance(whole.dtype)
    if total < 3:
        return Verdict(0.0, allowed, False, False, total)

    def differs(steps: Tensor) -> float:
        return max(newest_difference(steps, truth) for truth in (whole, *expected))

    ones = [1] * (total - first)
    back = min(BACK, total - first - 1)
    steps, again = _fed(open_session, ids, [first, *ones], back)
    difference = max(differs(steps), newest_difference(whole, expected[0]) if expected else 0.0)
    return Verdict(
        difference=difference,
        allowed=allowed,
        chunks=_chunk_holds(open_session, ids, first, whole, allowed),
        rewind=back > 0 and newest_difference(again, whole) <= allowed,
        compared=total,
    )


def _fed(
    open_session: Callable[[int, int], CachedSession], ids: Tensor, cuts: list[int], back: int = 0
) -> tuple[Tensor, Tensor]:
    """Logits of the fed pieces, (B, n, V), and those after `back` tokens were taken back and fed again."""
    session = open_session(ids.shape[0], ids.shape[1])
    try:
        starts = [sum(cuts[:n]) for n in range(len(cuts))]
        pieces = [session.advance(ids[:, n : n + cut], cut) for n, cut in zip(starts, cuts, strict=True)]
        steps = torch.cat([pieces[0], *pieces[1:]], dim=1)  # n x (B, t, V) -> (B, T, V)
        if not back:
            return steps, steps[:, :0]
        try:
            session.take_back(back)
            again = [session.advance(piece, 1) for piece in one_by_one(ids[:, -back:])]
        except Exception:
            # Not every model can; its steps are as good as they were.
            return steps, torch.full_like(steps, torch.nan)
        return steps, torch.cat(again, dim=1)
    finally:
        session.close()


def _chunk_holds(
    open_session: Callable[[int, int], CachedSession], ids: Tensor, first: int, whole: Tensor, allowed: float
) -> bool:
    rest = ids.shape[1] - first
    try:
        chunk = _fed(open_session, ids, [first, rest])[0]
    except Exception:
        # A model that only takes one token a step is a sound one.
        return False
    # A model that answers for the last position only would leave the others of a chunk unanswered.
    return (
        chunk.shape[1] >= rest
        and whole.shape[1] >= rest
        and newest_difference(chunk[:, -rest:], whole) <= allowed
    )


def newest_difference(a: Tensor, b: Tensor) -> float:
    """(B, n, V), (B, m, V) -> the largest difference of log-probabilities, newest positions aligned."""
    count = min(a.shape[1], b.shape[1])
    if count == 0 or a.shape[2] != b.shape[2]:
        return float("inf")
    one, other = a[:, -count:].double().log_softmax(-1), b[:, -count:].double().log_softmax(-1)
    same = (one == other) | (one.isnan() & other.isnan())
    gap = torch.where(same, 0.0, (one - other).abs())
    return float(gap.nan_to_num(nan=float("inf")).max())


def tolerance(dtype: torch.dtype) -> float:
    """What rounding may explain in a difference of log-probabilities."""
    return TOLERANCE.get(dtype, SINGLE_TOLERANCE)


def random_ids(rows: int, length: int, vocab_size: int | None) -> Tensor:
    """(rows, length) int64, always the same ones; only 0 and 1 where the vocabulary is not known."""
    # A generator of its own: the caller's random numbers stay where they are.
    generator = torch.Generator().manual_seed(20_231_205)
    return torch.randint(0, vocab_size or 2, (rows, length), generator=generator)
