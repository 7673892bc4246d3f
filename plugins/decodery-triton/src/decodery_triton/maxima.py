"""The second launch: one pass over the scores for the best score of each block."""

from __future__ import annotations

import triton
import triton.language as tl

from .scores import read


@triton.jit
def block_maxima(  # type: ignore[no-untyped-def]
    scores, maxima, sums, settings, settings_stride, seen, penalties, clock, halted, advance, vocab, blocks, words,
    LEADING: tl.constexpr, CODE: tl.constexpr, SEEN: tl.constexpr, SUMS: tl.constexpr, CLOCK: tl.constexpr, HALTS: tl.constexpr,
    BLOCK: tl.constexpr, PER: tl.constexpr,
):  # fmt: skip
    """maxima (R, N) float32; with SUMS also sums (R, N) float32 of exp(score - the block's best).

    With CLOCK, `clock` (3,) int64 is seed, next offset, this step's offset: here the step's offset is taken, so that
    every program of the launch behind reads the same one. With HALTS, `halted` (1,) uint8 says whether it is kept.
    """
    row = tl.program_id(0).to(tl.int64)
    block = tl.program_id(1) * PER + tl.arange(0, PER)
    place = block[:, None] * BLOCK + tl.arange(0, BLOCK)[None, :]
    penalty = penalties + 2 * row
    values = read(
        scores + row * vocab, place, place < vocab, seen + row * words, penalty, settings + row * settings_stride,
        LEADING, CODE, SEEN,
    )  # fmt: skip
    best = tl.max(values, 1)  # (N, b) -> (N,)
    tl.store(maxima + row * blocks + block, best, mask=block < blocks)
    if SUMS:
        origin = tl.where(best == float("-inf"), 0.0, best)
        mass = tl.sum(tl.exp(values - origin[:, None]), 1)
        tl.store(sums + row * blocks + block, mass, mask=block < blocks)
    if CLOCK:
        if (tl.program_id(0) == 0) & (tl.program_id(1) == 0):
            offset = tl.load(clock + 1)
            tl.store(clock + 2, offset)
            if HALTS:
                advance = tl.where(tl.load(halted) != 0, 0, advance)
            tl.store(clock + 1, offset + advance)
