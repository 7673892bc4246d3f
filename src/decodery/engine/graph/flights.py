"""Steps on their way: launched on the device, their tokens not yet read by the host."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor


class Landed(NamedTuple):
    """What a step told: `tokens`, rows whose scores are `bad`, rows that are `unsure`; `drawn` (R,) int64 are the
    tokens where they were drawn."""

    tokens: list[int]
    bad: list[int]
    unsure: list[int]
    drawn: Tensor


def landed(told: Tensor, drawn: Tensor) -> Landed:
    """told (3, R) int64."""
    tokens, bad, unsure = told.tolist()
    return Landed(tokens, bad, unsure, drawn)


class Flights:
    """Launches steps and reads what they told, in order. `told` (3, R) int64 is written by each step; on a CUDA device
    it is copied behind it to memory that the host reads when the copy is there, while the next step is on its way."""

    def __init__(self, step: Callable[[], None], told: Tensor) -> None:
        self._step, self._told = step, told
        self._on_the_way: deque[tuple[Tensor, Tensor, torch.cuda.Event | None]] = deque()
        self._free: list[Tensor] = []

    def __len__(self) -> int:
        return len(self._on_the_way)

    def launch(self) -> None:
        """One step more."""
        self._step()
        drawn = self._told[0].clone()
        if not self._told.is_cuda:
            self._on_the_way.append((self._told.clone(), drawn, None))
            return
        copy = self._free.pop() if self._free else _pinned(self._told)
        copy.copy_(self._told, non_blocking=True)
        there = torch.cuda.Event()  # type: ignore[no-untyped-call]
        there.record(torch.cuda.current_stream(self._told.device))
        self._on_the_way.append((copy, drawn, there))

    def land(self) -> Landed:
        """The oldest of them; the one wait of a step."""
        copy, drawn, there = self._on_the_way.popleft()
        if there is not None:
            there.synchronize()
            self._free.append(copy)
        return landed(copy, drawn)

    def forget(self) -> int:
        """Whatever else was launched is not waited for -> how many."""
        count = len(self._on_the_way)
        self._on_the_way.clear()
        return count


def _pinned(like: Tensor) -> Tensor:
    return torch.empty(like.shape, dtype=like.dtype, pin_memory=True)
