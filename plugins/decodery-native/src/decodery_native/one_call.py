"""A plan's edits, chain and choice as one call to C++, which copies no scores: what is edited lies beside the row."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from decodery.contracts.lowering import Map, Mode, Truncation
from decodery.kernels.backends import Chain, Touched

from . import _native

MODES: dict[Mode, int] = {"add": 0, "set": 1, "scale_by_sign": 2}
"""In the order of the C++ enumeration."""
OUTGROWN = 2
"""The flag of a row that outgrew the window."""


class OneCall:
    """See `decodery.kernels.backends.OneCall`. Several threads may use one."""

    def __init__(self, modes: Sequence[Mode], chain: Chain, compiled: _native.Chain | None) -> None:
        self._modes, self._chain = [MODES[mode] for mode in modes], compiled
        self._heat = 0.0
        for part in chain:
            if isinstance(part, Map):
                self._heat = (self._heat or 1.0) * float(part.value)
        # Of several best tokens a small p may keep one, and which one is an accident of the sort.
        self._alone = any(isinstance(part, Truncation) and part.kind == "mass" for part in chain)

    def best(self, scores: Tensor, touched: Touched) -> tuple[Tensor, Tensor | None]:
        tokens, flags = answers(scores.shape[0])
        bad = _native.pick_best(
            batch(scores), self._edits(touched), self._heat, self._alone, tokens.data_ptr(), flags.data_ptr()
        )
        return tokens, flags if bad else None

    def row(
        self, scores: Tensor, touched: Touched, keys: Tensor, samples: Tensor, steps: Tensor, purpose: int
    ) -> tuple[Tensor, Tensor | None]:
        tokens, flags = answers(scores.shape[0])
        bad = self._compiled.pick_row(
            batch(scores),
            self._edits(touched),
            keys.data_ptr(),
            samples.data_ptr(),
            steps.data_ptr(),
            purpose,
            tokens.data_ptr(),
            flags.data_ptr(),
        )
        return tokens, flags if bad else None

    def torch(
        self, scores: Tensor, touched: Touched, generator: torch.Generator
    ) -> tuple[Tensor, Tensor | None]:
        tokens, flags = answers(scores.shape[0])
        state = generator.get_state()
        bad = self._compiled.pick_torch(
            batch(scores), self._edits(touched), state.data_ptr(), tokens.data_ptr(), flags.data_ptr()
        )
        if bad:
            return tokens, flags
        generator.set_state(state)
        return tokens, None

    @property
    def _compiled(self) -> _native.Chain:
        if self._chain is None:
            raise TypeError("a greedy plan draws nothing")
        return self._chain

    def _edits(self, touched: Touched) -> list[int]:
        numbers: list[int] = []
        for (ids, values), mode in zip(touched, self._modes, strict=True):
            numbers += edit_of(ids, values, mode)
        return numbers


def batch(scores: Tensor) -> tuple[int, bool, int, int, int, int]:
    """(R, V) as C++ has it: address, whether bfloat16, rows, vocabulary, stride, threads."""
    rows, vocab = scores.shape
    threads = torch.get_num_threads() if rows > 3 else 1
    return scores.data_ptr(), scores.dtype is torch.bfloat16, rows, vocab, scores.stride(0), threads


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


def answers(rows: int) -> tuple[Tensor, Tensor]:
    """Room for (R,) int64 tokens and (R,) uint8 flags."""
    return torch.empty(rows, dtype=torch.int64), torch.empty(rows, dtype=torch.uint8)


def outgrown(flags: Tensor | None) -> Tensor | None:
    """(R,) uint8 -> (R,) bool: rows with more candidates than are worth looking at."""
    return None if flags is None else flags == OUTGROWN
