"""The third launch: the best tokens out of the best blocks, the cuts on them, and the draw. One program a row."""

from __future__ import annotations

import triton
import triton.language as tl

from decodery.kernels import certificate

from .random import row_uniform, torch_exponential
from .rules import K, cut, weights_of
from .scores import NOTHING, mapped, ordered, read, unordered

BY_UNIFORM = tl.constexpr(0)
BY_ROW = tl.constexpr(1)
BY_TORCH = tl.constexpr(2)
RACE = tl.constexpr(certificate.RACE)
WEIGHT = tl.constexpr(certificate.WEIGHT)


@triton.jit
def threshold(keys, low, count, wanted, room, ALL: tl.constexpr):  # type: ignore[no-untyped-def]
    """The bound that leaves at least `wanted` and at most `room` of the keys: bisection. Where ties do not allow it,
    fewer, down to none; more if ALL that are wanted must be there."""
    high = tl.max(keys, 0).to(tl.int64) + 1
    low = low.to(tl.int64)
    while (count > room) & (low + 1 < high):
        middle = (low + high) // 2
        above = tl.sum((keys >= middle).to(tl.int32), 0)
        enough = above >= wanted
        low = tl.where(enough, middle, low)
        high = tl.where(enough, high, middle)
        count = tl.where(enough, above, count)
    if not ALL:
        if count > room:
            low = high
            count = tl.sum((keys >= low).to(tl.int32), 0)
    return low, count


@triton.jit
def gathered(  # type: ignore[no-untyped-def]
    scores, maxima, settings, seen, penalty, list_at, values_at, ids_at, wanted, vocab, blocks,
    LEADING: tl.constexpr, CODE: tl.constexpr, SEEN: tl.constexpr, ALL: tl.constexpr,
    BLOCK: tl.constexpr, BLOCKS: tl.constexpr, CHOSEN: tl.constexpr, SLOTS: tl.constexpr,
):  # fmt: skip
    """Write the best tokens in ascending id order to `values_at`, `ids_at` -> (how many, whether they are all that is
    not banned, whether there was no room for them)."""
    block = tl.arange(0, BLOCKS)
    keys = ordered(tl.load(maxima + block, mask=block < blocks, other=float("-inf")))
    count = tl.sum((keys > NOTHING).to(tl.int32), 0)
    low, count = threshold(keys, tl.zeros_like(count) + (NOTHING + 1), count, wanted, CHOSEN, ALL)
    crowded = (count > CHOSEN) | (count == 0)
    chosen = keys >= low
    rank = tl.cumsum(chosen.to(tl.int32), 0) - 1
    tl.store(list_at + rank, block, mask=chosen & (rank < CHOSEN))
    tl.debug_barrier()
    flat = tl.arange(0, CHOSEN * BLOCK)
    place = tl.load(list_at + flat // BLOCK, mask=flat // BLOCK < count, other=0) * BLOCK + flat % BLOCK
    inside = (flat // BLOCK < count) & (place < vocab)
    found = read(scores, place, inside, seen, penalty, settings, LEADING, CODE, SEEN)
    keys = ordered(found)
    count = tl.sum((keys >= low).to(tl.int32), 0)
    low, count = threshold(keys, low, count, wanted, SLOTS, ALL)
    taken = keys >= low
    rank = tl.cumsum(taken.to(tl.int32), 0) - 1
    tl.store(values_at + rank, found, mask=taken & (rank < SLOTS))
    tl.store(ids_at + rank, place, mask=taken & (rank < SLOTS))
    tl.debug_barrier()
    return tl.minimum(count, SLOTS), low <= NOTHING + 1, crowded | (count > SLOTS) | (count == 0)


@triton.jit
def row_mass(maxima, sums, best, blocks, BLOCKS: tl.constexpr):  # type: ignore[no-untyped-def]
    """The sum of exp(score - best) over the whole row, float64."""
    block = tl.arange(0, BLOCKS)
    most = tl.load(maxima + block, mask=block < blocks, other=float("-inf"))
    mass = tl.load(sums + block, mask=block < blocks, other=0.0)
    return tl.sum(mass.to(tl.float64) * tl.exp((most - best).to(tl.float64)), 0)


@triton.jit
def by_uniform(values, unsure, home, weights_at, uniform, SLOTS: tl.constexpr):  # type: ignore[no-untyped-def]
    """The first survivor in id order whose cumulative weight exceeds uniform x total -> (its place in that order,
    whether rounding could decide)."""
    slot = tl.arange(0, SLOTS)
    weights = weights_of(values)
    doubt = tl.sum(tl.where(unsure != 0, weights, 0.0), 0)
    tl.store(weights_at + home, weights)
    tl.debug_barrier()
    weights = tl.load(weights_at + slot)
    upto = tl.cumsum(weights, 0)
    total = tl.max(upto, 0)
    under = (total.to(tl.int64, bitcast=True) - 1).to(tl.float64, bitcast=True)  # nothing exceeds the total
    bound = tl.minimum(uniform * total, under)
    winner = tl.min(tl.where(upto > bound, slot, SLOTS - 1), 0)
    above = tl.sum(tl.where(slot == winner, upto, 0.0), 0)
    below = above - tl.sum(tl.where(slot == winner, weights, 0.0), 0)
    slack = total * WEIGHT + doubt
    return winner, ((bound - below > slack) & (above - bound > slack)) == 0


@triton.jit
def by_race(values, unsure, home, q, SLOTS: tl.constexpr):  # type: ignore[no-untyped-def]
    """argmax(p / q) -> as `by_uniform`."""
    slot = tl.arange(0, SLOTS)
    quotients = weights_of(values) / q.to(tl.float64)
    first = tl.max(quotients, 0)
    place = tl.min(tl.where(quotients == first, slot, SLOTS - 1), 0)
    second = tl.max(tl.where(slot == place, -1.0, quotients), 0)
    winner = tl.sum(tl.where(slot == place, home, 0), 0)
    doubt = tl.sum(tl.where(slot == place, unsure, 0), 0)
    return winner, ((first * (1 - RACE) > second) == 0) | (doubt != 0)


@triton.jit
def select_and_draw(  # type: ignore[no-untyped-def]
    scores, maxima, sums, settings, settings_stride, seen, penalties, lists, values_out, ids_out, weights_out,
    uniforms, row_keys, samples, steps, consumer, clock, threads, halted, tokens, flags, window, vocab, blocks, words,
    LEADING: tl.constexpr, CODE: tl.constexpr, PARTS: tl.constexpr, SEEN: tl.constexpr, SUMS: tl.constexpr,
    DRAW: tl.constexpr, ADVANCE: tl.constexpr, HALTS: tl.constexpr, IN_ORDER: tl.constexpr,
    BLOCK: tl.constexpr, BLOCKS: tl.constexpr, CHOSEN: tl.constexpr, SLOTS: tl.constexpr,
):  # fmt: skip
    """tokens (R,) int64; flags (R,) uint8: 0 certain, 1 the reference must decide, 2 the window was outgrown. IN_ORDER:
    the reference's sort leaves equals in their order."""
    row = tl.program_id(0).to(tl.int64)
    settings += row * settings_stride
    seen += row * words
    maxima += row * blocks
    lists += row * CHOSEN
    values_out += row * SLOTS
    ids_out += row * SLOTS
    penalty = penalties + 2 * row
    wanted = tl.minimum(window, vocab)
    if (CODE >> (4 * LEADING)) & 15 == K:
        asked = tl.maximum(tl.load(settings + 2 * LEADING), tl.load(settings + 2 * LEADING + 1))
        wanted = tl.minimum(tl.minimum(asked, 1073741824.0).to(tl.int32), wanted)
    count, whole, outgrown = gathered(
        scores + row * vocab, maxima, settings, seen, penalty, lists, values_out, ids_out, wanted, vocab, blocks,
        LEADING, CODE, SEEN, ((CODE >> (4 * LEADING)) & 15) == K, BLOCK, BLOCKS, CHOSEN, SLOTS,
    )  # fmt: skip
    slot = tl.arange(0, SLOTS)
    found = tl.load(values_out + slot, mask=slot < count, other=float("-inf"))
    # Of equals the last is first, as in an ascending sort from behind.
    packed = tl.sort((ordered(found).to(tl.int64) << 32) | slot.to(tl.int64), descending=True)
    home = (packed & 0xFFFFFFFF).to(tl.int32)  # where the token stands in id order
    values = unordered((packed >> 32).to(tl.int32))
    best = tl.max(values, 0)
    unsure = tl.zeros_like(home)
    flag = (best == float("-inf")) | (best == float("inf"))
    for i in tl.static_range(LEADING, PARTS):
        bound = tl.load(settings + 2 * i)
        if ((CODE >> (4 * i)) & 15) < K:
            values = mapped(values, (CODE >> (4 * i)) & 15, bound)
        else:
            if ((CODE >> (4 * i)) & 15) != 5:  # only the best token matters to a ratio
                flag = flag | (tl.sum(unsure, 0) > 0)
            total = tl.sum(weights_of(values), 0)
            if SUMS:
                if i == LEADING:
                    row_total = row_mass(maxima, sums + row * blocks, best, blocks, BLOCKS)
                    total = tl.where(whole, total, row_total)
            min_keep = tl.load(settings + 2 * i + 1).to(tl.int32)
            values, unsure = cut(
                values, unsure, slot, total, bound, min_keep, (CODE >> (4 * i)) & 15, SLOTS, IN_ORDER
            )
            if ((CODE >> (4 * i)) & 15) != K:
                if i == LEADING:
                    last = tl.max(tl.where(slot == count - 1, values, float("-inf")), 0)
                    outgrown = outgrown | ((whole == 0) & (last > float("-inf")))
    if DRAW == BY_TORCH:
        token_of = tl.load(ids_out + home, mask=home < count, other=0)
        q = torch_exponential(row * vocab + token_of, tl.load(clock), tl.load(clock + 2), threads)
        winner, close = by_race(values, unsure, home, q, SLOTS)
    else:
        if DRAW == BY_ROW:
            uniform = row_uniform(
                tl.load(row_keys + row), tl.load(samples + row), tl.load(steps + row), consumer
            )
        else:
            uniform = tl.load(uniforms + row)
        winner, close = by_uniform(values, unsure, home, weights_out + row * SLOTS, uniform, SLOTS)
    token = tl.load(ids_out + winner, mask=winner < count, other=0)
    flag = flag | close
    tl.store(tokens + row, token.to(tl.int64))
    tl.store(flags + row, tl.where(outgrown, 2, flag.to(tl.int32)).to(tl.uint8))
    if ADVANCE:
        certain = (outgrown | flag) == 0
        if HALTS:
            certain = certain & (tl.load(halted) == 0)
        if SEEN:
            tl.atomic_or(seen + token // 32, (tl.zeros_like(token) + 1) << (token % 32), mask=certain)
        if DRAW == BY_ROW:
            tl.store(steps + row, tl.load(steps + row) + 1, mask=certain)
