"""Float32 weights whose numbers are all half-precision ones, as a checkpoint's mostly are: kept a second time as such.

A token reads every weight once, and a CPU waits for its memory most of that time. Of half the bytes it reads twice as
many numbers, more where they then fit a cache; and as every number is the same, so is every result.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any
from weakref import WeakSet, ref

import torch
from torch import Tensor, nn
from torch.utils.weak import WeakIdKeyDictionary

_SOURCE = r"""
#include <cstdint>
#include <cstring>

typedef float Floats __attribute__((vector_size(64)));
typedef uint32_t Words __attribute__((vector_size(64)));
typedef uint16_t Halves __attribute__((vector_size(32)));

template <bool bfloat>
static int same(const uint32_t* weight, const uint16_t* half, int64_t count) {
  Words others = {};
  for (int64_t i = 0; i < count; i += 16) {
    Words wanted;
    Halves found;
    memcpy(&wanted, weight + i, sizeof wanted);
    memcpy(&found, half + i, sizeof found);
    Words bits = __builtin_convertvector(found, Words);
    if (bfloat) {
      bits <<= 16;
    } else {
      // The exponent is moved by a product, which is right for subnormal numbers too.
      Floats number = (Floats)((bits & 0x7fff) << 13) * 0x1p112f;
      bits = (Words)number | (bits & 0x8000) << 16;
    }
    others |= bits ^ wanted;
  }
  uint32_t other = 0;
  for (int i = 0; i < 16; i++) other |= others[i];
  return other == 0;
}

extern "C" int same_as_float16(const uint32_t* w, const uint16_t* h, int64_t n) { return same<false>(w, h, n); }
extern "C" int same_as_bfloat16(const uint32_t* w, const uint16_t* h, int64_t n) { return same<true>(w, h, n); }
"""
_AT_ONCE = 16
"""Numbers that the loop above looks at together."""
_SAMPLE = 4096
"""Numbers, a multiple of that, among which a weight of 32 bits has one that needs them."""


class NoLongerHalves(Exception):
    """A weight was given numbers that take 32 bits."""


@dataclass(eq=False, slots=True)
class Half:
    """A weight (N, K) as float16 or bfloat16, and where and in which version the weight was when they agreed."""

    numbers: Tensor
    mark: tuple[int, int]


# Weak, so that a weight's end is the end of its half; of the process, so that decoders of one model share them.
_KEPT: Any = WeakIdKeyDictionary()


@torch.inference_mode(False)  # what is made in it can be written nowhere else
def half_of(weight: Tensor) -> Half | None:
    """Of a dense float32 parameter (N, K) on the CPU; None where its numbers take 32 bits, or nobody can tell."""
    kept: Half | None = _KEPT.get(weight)
    if kept is None and _may_have_one(weight):
        begin = weight.detach().view(-1)[:_SAMPLE]
        for dtype in (torch.bfloat16, torch.float16):
            if not _holds(begin, torch.empty(begin.shape, dtype=dtype)):
                continue
            numbers = torch.empty(weight.shape, dtype=dtype)
            if _holds(weight, numbers):
                kept = _KEPT[weight] = Half(numbers, _mark(weight))
                break
    return kept


class Reading:
    """The halves of some weights, for code that reads them in place of these: `places` among its arguments."""

    def __init__(self, places: Sequence[int]) -> None:
        self._places = places
        self._weights: list[ref[Tensor]] = []
        self._marks: tuple[list[int], list[int]] = [], []
        self._numbers: list[Tensor] = []
        self._texts = WeakSet[Any]()

    def fresh(self, given: Sequence[Any], text: object | None = None) -> list[Tensor]:
        """What the weights among `given` are now. In the first call for a `text` each is compared number by number, as
        writing to its `.data` leaves no trace; after that its version tells.

        Raises `NoLongerHalves`.
        """
        weights = [given[place] for place in self._places]
        begins = text is not None and text not in self._texts
        if begins or not self._as_they_were(weights):
            self._numbers = [self._of(weight, begins) for weight in weights]
            self._weights, self._marks = [ref(weight) for weight in weights], _marks(weights)
        if begins:
            self._texts.add(text)
        return self._numbers

    def _as_they_were(self, weights: list[Tensor]) -> bool:
        # Another one may lie where one that is no more has lain.
        known = len(self._weights) == len(weights) and all(
            found() is weight for found, weight in zip(self._weights, weights, strict=True)
        )
        return known and self._marks == _marks(weights)

    def _of(self, weight: Tensor, closely: bool) -> Tensor:
        half = half_of(weight)
        if half is None:
            raise NoLongerHalves
        if half.mark != _mark(weight) or (closely and not _same(weight, half.numbers)):
            alike = _may_have_one(weight) and weight.shape == half.numbers.shape
            if not alike or not _holds(weight, half.numbers):
                del _KEPT[weight]
                raise NoLongerHalves
            half.mark = _mark(weight)
        return half.numbers


def _may_have_one(weight: Tensor) -> bool:
    return (
        type(weight) is nn.Parameter
        and weight.dtype == torch.float32
        and weight.device.type == "cpu"
        and weight.ndim == 2
        and weight.is_contiguous()
        and weight.numel() % _AT_ONCE == 0
        and not weight.is_inference()  # nobody counts what is written to it
        and _comparing() is not None
    )


def _mark(weight: Tensor) -> tuple[int, int]:
    return weight._version, weight.data_ptr()


def _marks(weights: Sequence[Tensor]) -> tuple[list[int], list[int]]:
    """Those of several, every step: in one list each, as a small model has dozens."""
    return [weight._version for weight in weights], [weight.data_ptr() for weight in weights]


def _holds(weight: Tensor, numbers: Tensor) -> bool:
    """Write `weight` to `numbers`, and say whether that lost nothing."""
    with torch.inference_mode(False), torch.no_grad():
        numbers.copy_(weight)
    return _same(weight, numbers)


def _same(weight: Tensor, numbers: Tensor) -> bool:
    compare = _comparing()
    return compare is not None and compare(numbers.dtype)(
        weight.data_ptr(), numbers.data_ptr(), weight.numel()
    )


@cache
def _comparing() -> Callable[[torch.dtype], Callable[[int, int, int], bool]] | None:
    """What compares, made by the compiler that makes the forward; None without one."""
    try:
        from torch._inductor.codecache import CppCodeCache  # noqa: PLC0415 (late: inductor takes seconds to import)

        library: Any = CppCodeCache.load(_SOURCE)
        found = {torch.float16: library.same_as_float16, torch.bfloat16: library.same_as_bfloat16}
    except Exception:  # whatever a missing or odd compiler raises: the forward's own compiling will tell
        return None
    for function in found.values():
        function.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64]
        function.restype = ctypes.c_int
    return found.__getitem__
