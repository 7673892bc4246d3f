"""One row times matrices on a CUDA device: the weights are read once, at nearly what the memory gives.

cuBLAS's kernels are for tiles of rows, and read the weights of a single one at three fifths of that. What a decoder
does to the row before, a norm or a gate, and to the products behind, adding the residual stream, are done on the way:
as kernels of their own they take as long as a sixth of the reading.

On devices of compute capability 9 a kernel begins while the one before it ends (programmatic dependent launch): its
first weights are on their way when the row is there.
"""

from __future__ import annotations

from collections.abc import Sequence

import triton
import triton.language as tl
from torch import Tensor

from .operations import operation
from .overlapping import overlapped, release, wait

MOST = 3
"""Matrices in one launch: query, key and value; gate and up."""


@triton.jit  # type: ignore[untyped-decorator]
def _factors(  # type: ignore[no-untyped-def]
    row, gate, gain, scale, place, known, GATED: tl.constexpr, NORMED: tl.constexpr
):  # fmt: skip
    """What the weights in the columns `place` are multiplied by, float32 rounded as the row would be in memory."""
    factor = tl.load(row + place, mask=known, other=0.0).to(tl.float32)
    if GATED:
        opened = tl.load(gate + place, mask=known, other=0.0).to(tl.float32)
        factor *= (opened / (1.0 + tl.exp(-opened))).to(row.dtype.element_ty).to(tl.float32)
    if NORMED:
        factor *= scale * tl.load(gain + place, mask=known, other=0.0).to(tl.float32)
    return factor.to(row.dtype.element_ty).to(tl.float32)


@triton.autotune(  # type: ignore[untyped-decorator]
    [
        triton.Config({"ROWS": rows, "WIDTH": width}, num_warps=warps)
        for rows, width, warps in ((1, 2048, 4), (2, 1024, 4), (2, 2048, 8), (4, 1024, 8), (4, 2048, 8))
    ],
    key=["count0", "count1", "count2", "LENGTH", "GATED", "NORMED"],
)
@triton.jit  # type: ignore[untyped-decorator]
def _times_row(  # type: ignore[no-untyped-def]
    row, weights0, weights1, weights2, count0, count1, count2, out, gate, gain, epsilon, added,
    LENGTH: tl.constexpr, GATED: tl.constexpr, NORMED: tl.constexpr, ADDED: tl.constexpr,
    OVERLAPPED: tl.constexpr, ROWS: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """row (K,), weights (N0, K), (N1, K), (N2, K) -> out (N0 + N1 + N2,), summed in float32."""
    if OVERLAPPED:
        release()
    block = tl.program_id(0)
    blocks0, blocks1 = tl.cdiv(count0, ROWS), tl.cdiv(count1, ROWS)
    weights, count, first = weights0, count0, 0
    if block >= blocks0 + blocks1:
        weights, count, first = weights2, count2, count0 + count1
        block -= blocks0 + blocks1
    elif block >= blocks0:
        weights, count, first = weights1, count1, count0
        block -= blocks0
    here = block * ROWS + tl.arange(0, ROWS)
    column = tl.arange(0, WIDTH)
    begin = weights + here.to(tl.int64)[:, None] * LENGTH
    inside = (here < count)[:, None]
    # One part ahead, and the first before the row is there: weights do not wait for it.
    part = tl.load(begin + column[None, :], mask=inside & (column < LENGTH)[None, :], other=0.0,
                   eviction_policy="evict_first")  # fmt: skip
    if OVERLAPPED:
        wait()
    scale = 1.0
    if NORMED:
        squares = tl.zeros((WIDTH,), tl.float32)
        for start in tl.static_range(0, LENGTH, WIDTH):
            value = tl.load(row + start + column, mask=start + column < LENGTH, other=0.0).to(tl.float32)
            squares += value * value
        scale = tl.rsqrt(tl.sum(squares, 0) / LENGTH + epsilon)
    total = tl.zeros((ROWS, WIDTH), tl.float32)
    for start in tl.static_range(0, LENGTH, WIDTH):
        now = part
        place = start + column
        if start + WIDTH < LENGTH:
            later = place + WIDTH
            part = tl.load(begin + later[None, :], mask=inside & (later < LENGTH)[None, :], other=0.0,
                           eviction_policy="evict_first")  # fmt: skip
        factor = _factors(row, gate, gain, scale, place, place < LENGTH, GATED, NORMED)
        total += now.to(tl.float32) * factor[None, :]
    product = tl.sum(total, 1).to(out.dtype.element_ty)
    if ADDED:
        product = (product.to(tl.float32) + tl.load(added + here, mask=here < count, other=0.0)).to(
            product.dtype
        )
    tl.store(out + first + here, product, mask=here < count)


def one_row_products(
    row: Tensor,
    weights: Sequence[Tensor],
    gate: Tensor | None = None,
    gain: Tensor | None = None,
    epsilon: float = 0.0,
    added: Tensor | None = None,
) -> Tensor:
    """row (1, K) and up to three dense weights (N, K) of one dtype -> (1, sum of N): row @ weights.T, side by side.

    gate (1, K), gain (K,), added (1, N), dense as well: the row is silu(gate) * row; it is
    row / sqrt(mean(row²) + epsilon) * gain; the product of a single matrix is added to it.
    """
    counts = [len(weight) for weight in weights] + [0] * (MOST - len(weights))
    out = row.new_empty(1, sum(counts))
    padded = [*weights, *[weights[0]] * (MOST - len(weights))]

    def grid(chosen: dict[str, int]) -> tuple[int]:
        return (sum(triton.cdiv(count, chosen["ROWS"]) for count in counts),)

    row = row.contiguous()
    _times_row[grid](
        row, *padded, *counts, out,
        row if gate is None else gate, row if gain is None else gain, epsilon, row if added is None else added,
        LENGTH=row.shape[1], GATED=gate is not None, NORMED=gain is not None, ADDED=added is not None,
        **overlapped(row.device),
    )  # fmt: skip
    return out


def _like(
    row: Tensor,
    weights: Sequence[Tensor],
    gate: Tensor | None = None,
    gain: Tensor | None = None,
    epsilon: float = 0.0,
    added: Tensor | None = None,
) -> Tensor:
    return row.new_empty(1, sum(len(weight) for weight in weights))


OPERATION = operation(one_row_products, _like)
