"""Random numbers inside of a kernel: the row generator's uniform, and the exponential that torch would draw.

Both are Philox 4x32-10; see `decodery.engine.rng` for the first. torch's `exponential_` on n elements runs T threads:
element e is Philox subsequence e mod T, lane (e div T) mod 4 of counter offset / 4 + e div (4 T).
"""

from __future__ import annotations

import os

import triton
import triton.language as tl

INTERPRETED = tl.constexpr(os.environ.get("TRITON_INTERPRET") == "1")


@triton.jit
def _low(value):  # type: ignore[no-untyped-def]
    return (value & 0xFFFFFFFF).to(tl.uint32)


@triton.jit
def _high(value):  # type: ignore[no-untyped-def]
    return ((value >> 32) & 0xFFFFFFFF).to(tl.uint32)


@triton.jit
def row_uniform(key, sample, step, consumer):  # type: ignore[no-untyped-def]
    """int64 scalars each -> float64 in [0, 1) with 53 random bits."""
    a, b, _c, _d = tl.philox(key.to(tl.uint64), _low(step), _low(sample), _low(consumer), _high(step), 10)
    whole = (a >> 5).to(tl.int64) * 67108864 + (b >> 6).to(tl.int64)
    return whole.to(tl.float64) * 1.1102230246251565e-16


@triton.jit
def torch_exponential(element, seed, offset, threads):  # type: ignore[no-untyped-def]
    """element (K,) int64, its place in the tensor; seed, offset, threads int64 -> (K,) float32."""
    turn = element // threads
    lane = turn % 4
    sequence = element % threads
    counter = offset // 4 + turn // 4
    a, b, c, d = tl.philox(
        seed.to(tl.uint64), _low(counter), _high(counter), _low(sequence), _high(sequence), 10
    )
    bits = tl.where(lane == 0, a, tl.where(lane == 1, b, tl.where(lane == 2, c, d)))
    u = bits.to(tl.float32) * 2.3283064365386963e-10 + 1.1641532182693481e-10
    # torch takes the hardware's fast logarithm, and so must we: with an exact one most tokens differ.
    if INTERPRETED:
        log2 = tl.log2(u)
    else:
        log2 = tl.inline_asm_elementwise(
            "lg2.approx.f32 $0, $1;", "=f,f", [u], dtype=tl.float32, is_pure=True, pack=1
        )
    log = log2 * 0.6931471805599453
    return -tl.where(u >= 0.99999994, -5.960464477539063e-08, log)
