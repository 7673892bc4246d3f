"""State on the host that is a function of a row's tokens, and follows wherever the row goes."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Generic, Protocol, TypeVar

from torch import Tensor


class Machine(Protocol):
    """Moved by one token at a time, forwards and back."""

    def append(self, token: int) -> None: ...

    def undo(self) -> None:
        """Take the newest token back."""
        ...


M = TypeVar("M", bound=Machine)


class Trail(Generic[M]):
    """A machine a row, brought up to date from the ids themselves when a step is called.

    So nothing is needed of `observe`, a prompt is a text like any other, and each token is read once. `begin` (R,)
    int64 counts tokens in front that are nobody's (padding in transformers' own layout).
    """

    def __init__(self, make: Callable[[], M], begin: Tensor | None = None) -> None:
        self._make, self._begin = make, begin
        self._machines: list[M] = []
        self._read: list[int] = []

    def catch_up(self, input_ids: Tensor, lengths: Tensor) -> list[M]:
        """(R, T) int64, (R,) int64 -> a machine a row that has seen its whole text. One copy to the host."""
        if not self._machines:
            self._machines = [self._make() for _ in range(len(input_ids))]
            self._read = [0] * len(input_ids) if self._begin is None else self._begin.tolist()
        since = min(self._read)
        new, ends = input_ids[:, since:].tolist(), lengths.tolist()
        for row, machine in enumerate(self._machines):
            for token in new[row][self._read[row] - since : max(ends[row] - since, 0)]:
                machine.append(token)
            self._read[row] = max(self._read[row], ends[row])
        return self._machines

    def restart(self) -> None:
        """Forget everything; the next call reads the whole text."""
        self._machines, self._read = [], []

    def select(self, rows: Tensor) -> None:
        """(R',) int64: the first of a repeated row goes on with the machine, the others with copies."""
        self._begin = None if self._begin is None else self._begin[rows]
        if not self._machines:
            return
        order: list[int] = rows.tolist()
        machines = self._machines
        self._machines = [
            machines[row] if row not in order[:place] else deepcopy(machines[row])
            for place, row in enumerate(order)
        ]
        self._read = [self._read[row] for row in order]

    def rewind(self, counts: Tensor) -> None:
        """(R,) int64. What was not read yet is counted as read: reading it again costs little and is right."""
        for row, count in enumerate(counts.tolist() if self._machines else ()):
            for _ in range(min(count, self._read[row])):
                self._machines[row].undo()
            self._read[row] = max(self._read[row] - count, 0)


class Following(Generic[M]):
    """A step whose state is a `Trail`."""

    trail: Trail[M]

    def observe(self, tokens: Tensor, active: Tensor) -> None:
        """(R,) int64, (R,) bool: the ids of the next call say it."""

    def select(self, rows: Tensor) -> None:
        """(R',) int64."""
        self.trail.select(rows)

    def rewind(self, counts: Tensor) -> None:
        """(R,) int64."""
        self.trail.rewind(counts)
