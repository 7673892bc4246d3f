"""One row times matrices on a CUDA device: the weights are read once, at nearly what the memory gives.

cuBLAS's kernels are for tiles of rows, and read the weights of a single one at three fifths of that.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import triton
import triton.language as tl
from torch import Tensor

MOST = 3
"""Matrices in one launch: query, key and value; gate and up."""


@triton.autotune(  # type: ignore[untyped-decorator]
    [
        triton.Config({"ROWS": rows, "WIDTH": width}, num_warps=warps)
        for rows, width, warps in ((1, 2048, 4), (2, 1024, 4), (2, 2048, 8), (4, 1024, 8))
    ],
    key=["count0", "count1", "count2", "length"],
)
@triton.jit  # type: ignore[untyped-decorator]
def _times_row(  # type: ignore[no-untyped-def]
    row, weights0, weights1, weights2, count0, count1, count2, length, out,
    ROWS: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """row (K,), weights (N0, K), (N1, K), (N2, K) -> out (N0 + N1 + N2,), summed in float32."""
    block = tl.program_id(0)
    blocks0, blocks1 = tl.cdiv(count0, ROWS), tl.cdiv(count1, ROWS)
    weights, count = weights0, count0
    if block >= blocks0 + blocks1:
        weights, count = weights2, count2
        block -= blocks0 + blocks1
        out += count0 + count1
    elif block >= blocks0:
        weights, count = weights1, count1
        block -= blocks0
        out += count0
    here = block * ROWS + tl.arange(0, ROWS)
    column = tl.arange(0, WIDTH)
    begin = weights + here.to(tl.int64)[:, None] * length
    total = tl.zeros((ROWS, WIDTH), tl.float32)
    for start in range(0, length, WIDTH):
        place = start + column
        known = place < length
        factor = tl.load(row + place, mask=known, other=0.0).to(tl.float32)
        inside = (here < count)[:, None] & known[None, :]
        part = tl.load(begin + place[None, :], mask=inside, other=0.0, eviction_policy="evict_first")
        total += part.to(tl.float32) * factor[None, :]
    tl.store(out + here, tl.sum(total, 1).to(out.dtype.element_ty), mask=here < count)


@torch.library.custom_op("decodery::one_row_products", mutates_args=())
def one_row_products(row: Tensor, weights: Sequence[Tensor]) -> Tensor:
    """row (1, K) and up to three dense weights (N, K) of one dtype -> (1, sum of N): row @ weights.T, side by side."""
    counts = [len(weight) for weight in weights] + [0] * (MOST - len(weights))
    out = row.new_empty(1, sum(counts))
    padded = [*weights, *[weights[0]] * (MOST - len(weights))]

    def grid(chosen: dict[str, int]) -> tuple[int]:
        return (sum(triton.cdiv(count, chosen["ROWS"]) for count in counts),)

    _times_row[grid](row.contiguous(), *padded, *counts, row.shape[1], out)
    return out


@one_row_products.register_fake
def _(row: Tensor, weights: Sequence[Tensor]) -> Tensor:
    return row.new_empty(1, sum(len(weight) for weight in weights))
