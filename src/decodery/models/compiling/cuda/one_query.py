"""Attention of one query a row on a CUDA device, over keys that several heads share.

torch's kernels are for many queries: keys are repeated for every head before, and one head's keys are read by one
multiprocessor. Here each group of heads reads its keys once, in several parts at a time (flash decoding: Dao, Haziza,
Massa, Sizov 2023), and parts that the mask bans whole are not read.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from .operations import operation
from .overlapping import overlapped, release, wait

KEYS, BYTES = 64, 1 << 16
"""Read at once: so many keys with their values, or what fits the memory of any multiprocessor."""
BANNED = tl.constexpr(-3e4)
"""Masks that are added are at least that low where they ban: half precision ends at -65,504."""


@triton.jit  # type: ignore[untyped-decorator]
def _attend(  # type: ignore[no-untyped-def]
    query, key, value, mask, out, parts, scale, groups, length, span,
    query_row, query_head, key_row, key_head, key_place, value_row, value_head, value_place,
    mask_row, mask_head, mask_place,
    HEADS: tl.constexpr, LANES: tl.constexpr, WIDTH: tl.constexpr, PADDED: tl.constexpr, KEYS: tl.constexpr,
    MASKED: tl.constexpr, SPLIT: tl.constexpr, OVERLAPPED: tl.constexpr,
):  # fmt: skip
    """Program (b * groups + g, s): the HEADS queries of group g of row b over the keys of part s -> out (B, H, WIDTH),
    or parts (B, H, parts, PADDED + 2) float32: the sums, the largest score and the weights' sum."""
    if OVERLAPPED:
        release()
        wait()
    row = (tl.program_id(0) // groups).to(tl.int64)
    group = tl.program_id(0) % groups
    lane, width = tl.arange(0, LANES), tl.arange(0, PADDED)
    head = group * HEADS + lane
    there, wide = lane < HEADS, width < WIDTH
    asked = tl.load(query + row * query_row + head[:, None] * query_head + width[None, :],
                    mask=there[:, None] & wide[None, :], other=0.0)  # fmt: skip
    keys = key + row * key_row + group.to(tl.int64) * key_head
    values = value + row * value_row + group.to(tl.int64) * value_head
    most = tl.full((LANES,), float("-inf"), tl.float32)
    whole = tl.zeros((LANES,), tl.float32)
    mixed = tl.zeros((LANES, PADDED), tl.float32)
    begin = tl.program_id(1) * span
    for start in range(begin, tl.minimum(begin + span, length), KEYS):
        place = start + tl.arange(0, KEYS)
        known = place < length
        seen = there[:, None] & known[None, :]
        if MASKED:
            allowed = tl.load(mask + row * mask_row + head[:, None] * mask_head + place[None, :] * mask_place,
                              mask=seen, other=0)  # fmt: skip
            if mask.dtype.element_ty == tl.int1:
                bias = tl.where(allowed != 0, 0.0, float("-inf"))
            else:
                bias = allowed.to(tl.float32)
            bias = tl.where(seen, bias, float("-inf"))
        else:
            bias = tl.where(seen, 0.0, float("-inf"))
        if tl.max(bias) > BANNED:
            inside = known[:, None] & wide[None, :]
            read = place.to(tl.int64)[:, None]
            k = tl.load(keys + read * key_place + width[None, :], mask=inside, other=0.0)
            v = tl.load(values + read * value_place + width[None, :], mask=inside, other=0.0)
            scores = tl.dot(asked, tl.trans(k), input_precision="ieee") * scale + bias
            higher = tl.maximum(most, tl.max(scores, 1))
            safe = tl.where(higher == float("-inf"), 0.0, higher)
            weights = tl.exp(scores - safe[:, None])
            kept = tl.exp(most - safe)
            whole = whole * kept + tl.sum(weights, 1)
            mixed = mixed * kept[:, None] + tl.dot(weights.to(v.dtype), v, input_precision="ieee")
            most = higher
    if SPLIT:
        mine = parts + ((row * groups * HEADS + head) * tl.num_programs(1) + tl.program_id(1)) * (PADDED + 2)
        tl.store(mine[:, None] + width[None, :], mixed, mask=there[:, None])
        tl.store(mine + PADDED, most, mask=there)
        tl.store(mine + PADDED + 1, whole, mask=there)
    else:
        mixed /= tl.where(whole == 0.0, 1.0, whole)[:, None]
        to = out + (row * groups * HEADS + head)[:, None] * WIDTH + width[None, :]
        tl.store(to, mixed.to(out.dtype.element_ty), mask=there[:, None] & wide[None, :])


@triton.jit  # type: ignore[untyped-decorator]
def _mix(  # type: ignore[no-untyped-def]
    parts, out, count,
    COUNT: tl.constexpr, WIDTH: tl.constexpr, PADDED: tl.constexpr, OVERLAPPED: tl.constexpr,
):  # fmt: skip
    """Program b * H + h: parts (B, H, count, PADDED + 2) -> out (B, H, WIDTH)."""
    if OVERLAPPED:
        release()
        wait()
    at, width = tl.arange(0, COUNT), tl.arange(0, PADDED)
    known = at < count
    mine = parts + (tl.program_id(0).to(tl.int64) * count + at) * (PADDED + 2)
    most = tl.load(mine + PADDED, mask=known, other=float("-inf"))
    whole = tl.load(mine + PADDED + 1, mask=known, other=0.0)
    mixed = tl.load(mine[:, None] + width[None, :], mask=known[:, None], other=0.0)
    highest = tl.max(most, 0)
    kept = tl.exp(most - tl.where(highest == float("-inf"), 0.0, highest))
    sums = tl.sum(kept * whole, 0)
    found = tl.sum(mixed * kept[:, None], 0) / tl.where(sums == 0.0, 1.0, sums)
    tl.store(out + tl.program_id(0) * WIDTH + width, found.to(out.dtype.element_ty), mask=width < WIDTH)


def one_query_attention(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scale: float
) -> Tensor:
    """query (B, H, 1, D); key, value (B, G, S, D), G of which divides H; mask None or what broadcasts to (B, H, 1, S),
    bool (True: look) or to be added -> (B, H, 1, D), dense. A row that may look at no key gets zeros.

    The last dimension of all lies dense.
    """
    rows, heads, _, width = query.shape
    groups, length = key.shape[1:3]
    out = query.new_empty(rows, heads, 1, width)
    device = query.device
    padded = max(16, triton.next_power_of_2(width))
    keys = min(KEYS, BYTES // (2 * padded * query.element_size()))
    # As many programs as twice the multiprocessors, none of them with fewer than it reads at once.
    most = triton.cdiv(length, keys)
    wished = triton.cdiv(2 * torch.cuda.get_device_properties(device).multi_processor_count, rows * groups)
    span = triton.cdiv(most, min(most, wished)) * keys
    count = triton.cdiv(length, span)
    parts = query.new_empty((rows, heads, count, padded + 2), dtype=torch.float32) if count > 1 else out
    told = query if mask is None else mask.expand(rows, heads, 1, length)
    shared = {"WIDTH": width, "PADDED": padded, **overlapped(device)}
    _attend[rows * groups, count](
        query, key, value, told, out, parts, scale, groups, length, span,
        query.stride(0), query.stride(1), *key.stride()[:3], *value.stride()[:3],
        *(told.stride(0), told.stride(1), told.stride(3)),
        HEADS=heads // groups, LANES=max(16, triton.next_power_of_2(heads // groups)), KEYS=keys,
        MASKED=mask is not None, SPLIT=count > 1, num_warps=4, **shared,
    )  # fmt: skip
    if count > 1:
        _mix[rows * heads,](parts, out, count, COUNT=triton.next_power_of_2(count), num_warps=2, **shared)
    return out


def _like(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scale: float) -> Tensor:
    return query.new_empty(query.shape)


OPERATION = operation(one_query_attention, _like)
