"""Is a cache true? Cached steps against the whole context in one call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from ..forward import one_by_one
from .rounding import gap_of, tolerance

ROWS, FIRST, TOTAL, BACK = 2, 4, 10, 2
LONGEST_WINDOW = 256


class Tried(Protocol):
    """What is verified: a session that feeds columns after those it has seen."""

    def advance(self, ids: Tensor, columns: int) -> Tensor:
        """(B, T) int64 -> the newest `columns` positions or fewer, (B, K, V), in one call of the model."""
        ...

    def cut(self, count: int) -> None:
        """Take the newest tokens back."""
        ...

    def reordered(self, rows: Tensor) -> None:
        """(B',) int64: row i becomes what row `rows[i]` was."""
        ...

    def close(self) -> None: ...


class Ticking(Tried, Protocol):
    """`contracts.protocols.StaticSession`, as it is verified."""

    def hold_place(self) -> None: ...

    def tick(self, tokens: Tensor) -> Tensor: ...

    @property
    def unticks(self) -> bool: ...

    def untick(self, count: int) -> None: ...

    def leaves(self) -> Mapping[Any, Any]:
        """What its state is in."""
        ...


Opener = Callable[[int, int], Tried]
"""`open(rows, length)`, a fresh session each time."""


@dataclass(frozen=True, slots=True)
class Truth:
    """Random tokens, the logits of the whole context after each, and how far from them rounding may lead.

    ids (B, T) int64; logits (B, T', V), the newest positions; `plain` says where they are from: a call without any
    cache, or the whole context in the first call with one.
    """

    ids: Tensor
    logits: Tensor
    first: int
    allowed: float
    plain: bool
    spread: float = 0.0
    dtype: torch.dtype = torch.float32

    @property
    def compared(self) -> int:
        return self.ids.shape[1]


def truth_of(
    open_session: Opener,
    vocab_size: int | None,
    max_length: int | None,
    plain: Callable[[Tensor], Tensor] | None = None,
    *,
    rows: int = ROWS,
    single: bool = False,
    window: int | None = None,
    dtype: torch.dtype = torch.float32,
) -> Truth:
    """The whole context in one call: without a cache where `plain` can, and in the first call with one unless the
    model is `single`, one token a call. `spread` is their difference; `dtype` is the weights'. Raises what the model
    raises.

    A `window` of attention is passed by six tokens, if it is short enough to be tried.
    """
    wanted = max(TOTAL, window + 6 if window is not None and window <= LONGEST_WINDOW else 0)
    total = min(wanted, max_length or wanted)
    ids = random_ids(rows, total, vocab_size)
    # First of all, since a plain call may move a pointer into the cache.
    expected = _every_position(plain, ids) if plain is not None else None
    if single:
        whole = expected if expected is not None else fed(open_session, ids, [1] * total)
    else:
        whole = _every_position(lambda some: fed(open_session, some, [some.shape[1]]), ids)
    return Truth(
        ids=ids,
        logits=whole if expected is None else expected,
        first=max(1, min(FIRST, total - 2)),
        allowed=tolerance(whole, dtype),
        plain=expected is not None,
        spread=0.0 if expected is None else _counting_difference(whole, expected, dtype),
        dtype=dtype,
    )


def _every_position(call: Callable[[Tensor], Tensor], ids: Tensor) -> Tensor:
    """(B, T) -> (B, T, V); of a model that answers for the last position only, the newest ones that matter."""
    whole = call(ids)
    if whole.shape[1] >= ids.shape[1]:
        return whole
    lengths = range(max(1, ids.shape[1] - TOTAL + FIRST), ids.shape[1])
    earlier = [call(ids[:, :length])[:, -1:] for length in lengths]
    return torch.cat([*earlier, whole[:, -1:]], dim=1)  # n x (B, 1, V) -> (B, n, V)


def difference(open_session: Opener, truth: Truth, single: bool = False) -> float:
    """Of one-token steps against the whole context, the largest in log-probability."""
    ids, first = truth.ids, truth.first
    ones = [1] * (ids.shape[1] - first)
    steps = fed(open_session, ids, [*([1] * first if single else [first]), *ones])
    return max(truth.spread, _counting_difference(steps, truth.logits, truth.dtype))


def chunks_hold(open_session: Opener, truth: Truth) -> bool:
    """Several tokens a call are right after the first call, and each is answered for."""
    rest = truth.ids.shape[1] - truth.first
    try:
        chunk = fed(open_session, truth.ids, [truth.first, rest])
    except Exception:
        # A model that only takes one token a step is a sound one.
        return False
    # A model that answers for the last position only would leave the others of a chunk unanswered.
    if chunk.shape[1] < rest or truth.logits.shape[1] < rest:
        return False
    return newest_difference(chunk[:, -rest:], truth.logits) <= truth.allowed


def rewind_holds(open_session: Opener, truth: Truth, single: bool = False) -> bool:
    """Tokens that were taken back and fed again are answered as before, other ones having been fed in between."""
    ids, total = truth.ids, truth.ids.shape[1]
    back = min(BACK, total - truth.first - 1)
    if back < 1:
        return False
    other = ids.clone()
    other[:, -back:] = ids[:, -back:].flip(0)
    session = open_session(ids.shape[0], total)
    try:
        for piece in (
            one_by_one(other) if single else (other[:, : truth.first], *one_by_one(other[:, truth.first :]))
        ):
            session.advance(piece, 1)
        session.cut(back)
        again = [session.advance(piece, 1) for piece in one_by_one(ids[:, -back:])]
    except Exception:
        # Not every model can; its steps are as good as they were.
        return False
    finally:
        session.close()
    return newest_difference(torch.cat(again, dim=1), truth.logits) <= truth.allowed


def rows_are_alone(open_session: Opener, truth: Truth, single: bool = False) -> bool:
    """Another row 0 does not move the logits of the last row: what the model takes for rows are rows."""
    if truth.ids.shape[0] < 2:
        return True
    ids = truth.ids.clone()
    ids[0] = ids[0].roll(1)
    moved = fed(open_session, ids, [1] * ids.shape[1] if single else [ids.shape[1]])
    return newest_difference(moved[-1:], truth.logits[-1:]) <= truth.allowed


def rows_follow(open_session: Opener, truth: Truth, single: bool = False) -> bool:
    """Rows that were swapped, repeated and dropped go on as if they had been alone."""
    ids, first = truth.ids, truth.first
    if ids.shape[0] < 2 or ids.shape[1] < first + 2:
        return False
    session = open_session(ids.shape[0], ids.shape[1])
    try:
        for piece in one_by_one(ids[:, :first]) if single else [ids[:, :first]]:
            session.advance(piece, 1)
        rows, answers = torch.arange(ids.shape[0]), []
        # Repeated and reordered; then fewer; then as many again, other ones.
        for at, chosen in enumerate(([1, 0, 1], [2, 1], [1, 1])):
            if first + at >= ids.shape[1]:
                break
            rows = rows[torch.tensor(chosen)]
            session.reordered(torch.tensor(chosen))
            position = first + at - ids.shape[1]
            step = session.advance(ids[rows, position].unsqueeze(1), 1)
            answers.append(newest_difference(step, truth.logits[rows, position].unsqueeze(1)))
    except Exception:
        return False
    finally:
        session.close()
    return max(answers) <= truth.allowed


def ticks_hold(open_session: Callable[[int, int], Ticking], truth: Truth) -> bool:
    """Steps whose place is in device memory are answered as others are, and the state stays where it is; even where
    others were made in between and taken back, if the session says that they can be."""
    ids, total = truth.ids, truth.ids.shape[1]
    session = open_session(ids.shape[0], total)
    try:
        session.advance(ids[:, : truth.first], 1)
        session.hold_place()
        answers, places = [], []
        for piece in one_by_one(ids[:, truth.first :]):
            if session.unticks:
                session.tick(piece.flip(0))
                session.untick(1)
            answers.append(session.tick(piece).unsqueeze(1))  # (B, V) -> (B, 1, V)
            places.append({path: leaf.data_ptr() for path, leaf in _tensors(session.leaves())})
    except Exception:
        return False
    finally:
        session.close()
    return (
        all(place == places[0] for place in places)
        and newest_difference(torch.cat(answers, dim=1), truth.logits) <= truth.allowed
    )


def _tensors(leaves: Mapping[Any, Any]) -> list[tuple[Any, Tensor]]:
    return [(path, leaf) for path, leaf in leaves.items() if isinstance(leaf, Tensor)]


def fed(open_session: Opener, ids: Tensor, cuts: list[int]) -> Tensor:
    """Logits of the fed pieces one after another, (B, T', V)."""
    session = open_session(ids.shape[0], ids.shape[1])
    try:
        starts = [sum(cuts[:n]) for n in range(len(cuts))]
        pieces = [session.advance(ids[:, n : n + cut], cut) for n, cut in zip(starts, cuts, strict=True)]
        return torch.cat(pieces, dim=1)  # n x (B, t, V) -> (B, T, V)
    finally:
        session.close()


def newest_difference(a: Tensor, b: Tensor) -> float:
    """(B, n, V), (B, m, V) -> the largest difference of log-probabilities, newest positions aligned."""
    gaps = _newest_gaps(a, b)
    return float("inf") if gaps is None else float(gaps.max())


def _counting_difference(a: Tensor, b: Tensor, weights: torch.dtype) -> float:
    """The same, where rounding may have moved a single token for good."""
    gaps = _newest_gaps(a, b)
    return float("inf") if gaps is None else gap_of(gaps, a.dtype, weights)


def _newest_gaps(a: Tensor, b: Tensor) -> Tensor | None:
    """(B, n, V), (B, m, V) -> (B, min(n, m)) float64; None where there is nothing to compare."""
    count = min(a.shape[1], b.shape[1])
    if count == 0 or a.shape[2] != b.shape[2]:
        return None
    return position_gaps(a[:, -count:], b[:, -count:])


def position_gaps(a: Tensor, b: Tensor) -> Tensor:
    """(B, n, V) twice -> (B, n) float64: the largest difference of log-probabilities in each position."""
    one, other = a.double().log_softmax(-1), b.double().log_softmax(-1)
    same = (one == other) | (one.isnan() & other.isnan())
    gap = torch.where(same, 0.0, (one - other).abs())
    return gap.nan_to_num(nan=float("inf")).amax(-1)  # (B, n, V) -> (B, n)


def random_ids(rows: int, length: int, vocab_size: int | None) -> Tensor:
    """(rows, length) int64, always the same ones; only 0 and 1 where the vocabulary is not known."""
    # A generator of its own: the caller's random numbers stay where they are.
    generator = torch.Generator().manual_seed(20_231_205)
    return torch.randint(0, vocab_size or 2, (rows, length), generator=generator)
