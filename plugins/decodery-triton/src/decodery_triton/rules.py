"""The cuts on a row's candidates inside of a kernel; `decodery.kernels.rules` has the same in torch.

Letters: K slots in descending order of score, of equals the last token first, -inf where there is none. Each rule gives (values, unsure).
"""

from __future__ import annotations

import triton
import triton.language as tl

from decodery.kernels import certificate

K = tl.constexpr(3)
MASS = tl.constexpr(4)
RATIO = tl.constexpr(5)
FLOOR = tl.constexpr(6)
NEAR_MASS = tl.constexpr(certificate.MASS)
NEAR_RATIO = tl.constexpr(certificate.RATIO)
NEAR_FLOOR = tl.constexpr(certificate.FLOOR)


@triton.jit
def at(values, slot, place):  # type: ignore[no-untyped-def]
    """values[place], -inf beyond the end."""
    return tl.max(tl.where(slot == place, values, float("-inf")), 0)


@triton.jit
def weights_of(values):  # type: ignore[no-untyped-def]
    """exp(score - best) in float64; the difference is float32, as softmax takes it."""
    best = tl.max(values, 0)
    return tl.where(values == float("-inf"), 0.0, tl.exp((values - best).to(tl.float64)))


@triton.jit
def cut(  # type: ignore[no-untyped-def]
    values, unsure, slot, total, bound, min_keep,
    KIND: tl.constexpr, SLOTS: tl.constexpr, IN_ORDER: tl.constexpr,
):  # fmt: skip
    """One truncation. total float64: of the weights of all that the rule looks at; bound float64; min_keep int32."""
    if KIND == K:
        kept = tl.minimum(tl.maximum(bound.to(tl.int32), min_keep), SLOTS)
        values = tl.where(values < at(values, slot, kept - 1), float("-inf"), values)
    elif KIND == MASS:
        weights = weights_of(values)
        tail = 1.0 - (tl.cumsum(weights, 0) - weights) / total
        first = slot < min_keep
        sure = (tail > 1.0 - bound + NEAR_MASS) | first
        possible = (tail > 1.0 - bound - NEAR_MASS) | first
        # Both are prefixes. Which of several that tie across the cut are kept is an accident of the reference's sort,
        # unless it leaves them in their order.
        if IN_ORDER:
            values = tl.where(possible, values, float("-inf"))
            unsure = unsure | (possible & (sure == 0)).to(tl.int32)
        else:
            last = at(values, slot, tl.sum(possible.to(tl.int32), 0) - 1)
            doubtful = at(values, slot, tl.sum(sure.to(tl.int32), 0))
            values = tl.where(values < last, float("-inf"), values)
            unsure = unsure | (values <= doubtful).to(tl.int32)
    else:
        likely = weights_of(values)
        margin = NEAR_RATIO
        if KIND == FLOOR:
            likely = likely / total
            margin = NEAR_FLOOR
        last = at(values, slot, tl.minimum(min_keep, SLOTS) - 1)
        best = values >= last
        sure = likely > bound * (1 + margin)
        possible = likely > bound * (1 - margin)
        doubt = possible & (sure == 0) & (best == 0)
        if KIND == RATIO:
            beyond = tl.where(
                min_keep > 1, at(values, slot, min_keep), float("-inf")
            )  # the first that need not stay
            doubt = doubt | ((values == beyond) & best & (sure == 0))
        values = tl.where(possible | best, values, float("-inf"))
        unsure = unsure | doubt.to(tl.int32)
    return values, tl.where(values == float("-inf"), 0, unsure)
