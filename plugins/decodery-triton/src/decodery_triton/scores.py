"""Scores inside of a kernel: penalty, maps, and an order that integers have too."""

from __future__ import annotations

import triton
import triton.language as tl

MULTIPLY = tl.constexpr(1)
DIVIDE = tl.constexpr(2)
NOTHING = tl.constexpr(-2139095041)
"""What `ordered` makes of -inf; every finite score is greater."""


@triton.jit
def ordered(values):  # type: ignore[no-untyped-def]
    """float32 -> int32 in the same order; -0.0 counts as 0.0."""
    bits = tl.where(values == 0.0, 0.0, values).to(tl.int32, bitcast=True)
    return bits ^ ((bits >> 31) & 0x7FFFFFFF)


@triton.jit
def unordered(keys):  # type: ignore[no-untyped-def]
    """The inverse of `ordered`."""
    return (keys ^ ((keys >> 31) & 0x7FFFFFFF)).to(tl.float32, bitcast=True)


@triton.jit
def mapped(values, kind, parameter):  # type: ignore[no-untyped-def]
    """A temperature, in the operation that torch chooses on CUDA: by a number it multiplies with the reciprocal."""
    if kind == MULTIPLY:
        return values * parameter.to(tl.float32)
    else:  # noqa: RET505  # a kernel's branches are taken when it is compiled
        return tl.div_rn(values, tl.zeros_like(values) + parameter.to(tl.float32))


@triton.jit
def penalised(values, seen, penalty, reciprocal):  # type: ignore[no-untyped-def]
    """The repetition penalty where `seen` is not 0."""
    changed = tl.where(values < 0, values * penalty, values * reciprocal)
    return tl.where(seen != 0, changed, values)


@triton.jit
def read(  # type: ignore[no-untyped-def]
    scores,
    place,
    inside,
    seen,
    penalty,
    settings,
    LEADING: tl.constexpr,
    CODE: tl.constexpr,
    SEEN: tl.constexpr,
):
    """The scores of one row at these places after penalty and leading maps, float32; -inf outside, inf for NaN.

    `scores`, `seen`, `penalty` (itself and its reciprocal), `settings` point at the row; bit i of word j of `seen` is token 32 j + i.
    """
    values = tl.load(scores + place, mask=inside, other=float("-inf")).to(tl.float32)
    if SEEN:
        words = tl.load(seen + place // 32, mask=inside, other=0)
        values = penalised(values, (words >> (place % 32)) & 1, tl.load(penalty), tl.load(penalty + 1))
    for i in tl.static_range(LEADING):
        values = mapped(values, (CODE >> (4 * i)) & 15, tl.load(settings + 2 * i))
    return tl.where(values != values, float("inf"), values)
