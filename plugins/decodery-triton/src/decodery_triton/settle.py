"""What becomes of a step's tokens, in one launch. `decodery.engine.graph.standing.settle` has it in plain words."""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from decodery.engine.graph import standing as plain


@triton.jit
def _settle(  # type: ignore[no-untyped-def]
    tokens, bad, unsure, newest, written, growing, halted, told, text, lengths, steps, named, most,
    rows, room, count, pad,
    ROWS: tl.constexpr, BAD: tl.constexpr, UNSURE: tl.constexpr, ENDS: tl.constexpr,
    EVERYONE: tl.constexpr, PADS: tl.constexpr,
):  # fmt: skip
    """One program. (R,) each, told (3, R), text (R, room), named (count,)."""
    row = tl.arange(0, ROWS)
    there = row < rows
    stands = tl.load(halted) != 0
    grows = tl.load(growing + row, mask=there, other=0) != 0
    wrong = grows & False
    if BAD:
        wrong = (tl.load(bad + row, mask=there, other=0) != 0) & grows
    doubtful = grows & False
    if UNSURE:
        doubtful = (tl.load(unsure + row, mask=there, other=0) != 0) & grows
    token = tl.load(tokens + row, mask=there, other=0)
    if PADS:
        token = tl.where(grows, token, pad)
    taken = there & ((wrong | doubtful) == 0) & (stands == 0)
    if EVERYONE == 0:
        taken = taken & grows
    moves = there & (stands == 0)
    tl.store(told + row, token, mask=moves)
    tl.store(told + rows + row, wrong.to(tl.int64), mask=moves)
    tl.store(told + 2 * rows + row, doubtful.to(tl.int64), mask=moves)
    tl.store(written + row, taken, mask=moves)
    tl.store(newest + row, token, mask=taken)
    length = tl.load(lengths + row, mask=there, other=0)
    place = tl.minimum(length, room - 1)
    tl.store(text + row.to(tl.int64) * room + place, token, mask=taken)
    length += taken.to(tl.int64)
    tl.store(lengths + row, length, mask=taken)
    tl.store(steps + row, tl.load(steps + row, mask=there, other=0) + 1, mask=taken)
    if ENDS:
        ended = length >= tl.load(most + row, mask=there, other=0)
        for i in range(count):
            ended = ended | (token == tl.load(named + i))
        grows = grows & ((taken & ended) == 0)
        tl.store(growing + row, grows, mask=there)
    someone = tl.sum(grows.to(tl.int32), 0) > 0
    asks = tl.sum((wrong | doubtful).to(tl.int32), 0) > 0
    tl.store(halted, stands | asks | (someone == 0))


def settle(standing: plain.Standing, tokens: Tensor, bad: Tensor | None, unsure: Tensor | None) -> None:
    """See the module."""
    history, ends, growing = standing.history, standing.ends, standing.growing
    rows, room = history.tokens.shape
    assert history.tokens.is_contiguous()
    _settle[(1,)](
        tokens, growing if bad is None else bad, growing if unsure is None else unsure,
        standing.newest, standing.written, growing, standing.halted, standing.told,
        history.tokens, history.lengths, history.steps,
        tokens if ends is None else ends.named, tokens if ends is None else ends.most,
        rows, room, 0 if ends is None else len(ends.named), history.pad,
        ROWS=max(16, triton.next_power_of_2(rows)), BAD=bad is not None, UNSURE=unsure is not None,
        ENDS=ends is not None, EVERYONE=standing.everyone, PADS=standing.pads, num_warps=1 if rows <= 32 else 4,
    )  # fmt: skip
