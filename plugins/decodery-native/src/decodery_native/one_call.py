"""A plan's edits, chain and choice as one call to C++, which copies no scores: what is edited lies beside the row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from decodery.contracts.errors import PluginError
from decodery.contracts.lowering import Map, Mode, Truncation
from decodery.kernels.answers import Answers
from decodery.kernels.backends import Chain, Counters, Picked, Touched

from . import _native

MODES: dict[Mode, int] = {"add": 0, "set": 1, "scale_by_sign": 2}
"""In the order of the C++ enumeration."""
_Known = tuple[Tensor, Tensor, tuple[int, ...]]
"""The ids and values of an edit, and the eight numbers that C++ takes for them."""


class OneCall:
    """See `decodery.kernels.backends.OneCall`. Several threads may use one.

    Between two forwards every object that is touched is a cache line or two from memory, so that what a call needs is
    asked for once and kept in the form in which C++ takes it.
    """

    def __init__(self, modes: Sequence[Mode], chain: Chain, compiled: _native.Chain | None) -> None:
        self._modes = [MODES[mode] for mode in modes]
        self._chain: Any = compiled  # None where nothing is drawn
        self._kept: list[_Known | None] = [None] * len(modes)
        self._answers = Answers(Tensor.data_ptr)
        self._counted: tuple[Counters, tuple[int, int, int, int]] | None = None
        self._heat = 0.0
        for part in chain:
            if isinstance(part, Map):
                self._heat = (self._heat or 1.0) * float(part.value)
        # Of several best tokens a small p may keep one, and which one is an accident of the sort.
        self._alone = any(isinstance(part, Truncation) and part.kind == "mass" for part in chain)

    def best(self, scores: Tensor, touched: Touched) -> Picked | None:
        given = batch(scores)
        if given is None:
            return None
        tokens, at = self._answers.take(given[2])
        bad = _native.pick_best(given, self._edits(touched), self._heat, self._alone, at)
        return tokens, last_flags(tokens) if bad else None

    def row(self, scores: Tensor, touched: Touched, counters: Counters) -> Picked | None:
        given = batch(scores)
        if given is None:
            return None
        counted = self._counted
        if counted is None or counted[0] is not counters:
            keys, samples, steps, purpose = counters
            counted = counters, (keys.data_ptr(), samples.data_ptr(), steps.data_ptr(), purpose)
            self._counted = counted
        tokens, at = self._answers.take(given[2])
        bad = self._chain.pick_row(given, self._edits(touched), counted[1], at)
        return tokens, last_flags(tokens) if bad else None

    def torch(self, scores: Tensor, touched: Touched, generator: torch.Generator) -> Picked | None:
        given = batch(scores)
        if given is None:
            return None
        tokens, at = self._answers.take(given[2])
        state = generator.get_state()
        bad = self._chain.pick_torch(given, self._edits(touched), state.data_ptr(), at)
        if bad:
            return tokens, last_flags(tokens)
        generator.set_state(state)
        return tokens, None

    def _edits(self, touched: Touched) -> Sequence[int]:
        if not touched:
            return ()
        numbers: list[int] = []
        for place, (ids, values) in enumerate(touched):
            kept = self._kept[place]
            if kept is None or kept[0] is not ids or kept[1] is not values:  # most are the last step's own
                if ids.dtype is not torch.int64 or values.dtype is not torch.float32:
                    raise PluginError(
                        f"an edit touches {ids.dtype} ids with {values.dtype} values",
                        remedy="an EditSource answers int64 and float32",
                    )
                kept = self._kept[place] = (ids, values, edit_of(ids, values, self._modes[place]))
            numbers += kept[2]
        return numbers


def batch(scores: Tensor) -> _native.Rows | None:
    """(R, V) as C++ has it: address, whether bfloat16, rows, vocabulary, stride, threads. None where C++ does not take
    such scores."""
    (rows, vocab), (stride, step) = scores.shape, scores.stride()
    half = scores.dtype is torch.bfloat16
    if (step != 1 and vocab != 1) or not (half or scores.dtype is torch.float32):
        return None
    return scores.data_ptr(), half, rows, vocab, stride, torch.get_num_threads() if rows > 3 else 1


def edit_of(ids: Tensor, values: Tensor, mode: int) -> tuple[int, int, int, int, int, int, int, int]:
    """(1 or R, E) int64, (1 or R, 1 or E) float32 as C++ has them: addresses, strides (0 where there is one for
    all) and the mode. The tensors must outlive the call."""
    rows, count = ids.shape
    of_rows, columns = values.shape
    return (
        ids.data_ptr(),
        ids.stride(0) if rows > 1 else 0,
        ids.stride(1),
        count,
        values.data_ptr(),
        values.stride(0) if of_rows > 1 else 0,
        values.stride(1) if columns > 1 else 0,
        mode,
    )


def last_flags(tokens: Tensor) -> Tensor:
    """(R,) uint8: what the thread's last call said of these (R,) tokens."""
    flags = torch.empty(tokens.shape, dtype=torch.uint8)
    _native.last_flags(flags.data_ptr())
    return flags
