"""Tensors for tokens, allocated ahead of the steps that answer with them."""

from __future__ import annotations

from collections.abc import Callable
from ctypes import c_int64
from typing import Generic, TypeVar

import torch
from torch import Tensor

AHEAD = 16
"""So many are allocated at once: what a model ran in between has emptied the caches of, costs its first call ten times
the others, and `torch.empty` is a good part of that."""
T = TypeVar("T")


class Answers(Generic[T]):
    """(R,) int64 tensors, each handed out once, with what `way` makes of it: how its numbers are written. Several
    threads may take from one."""

    def __init__(self, way: Callable[[Tensor], T]) -> None:
        self._way = way
        self._kept: tuple[int, list[tuple[Tensor, T]]] = (0, [])

    def take(self, rows: int) -> tuple[Tensor, T]:
        """An ordinary tensor, in whatever grad mode it is asked for."""
        width, ahead = self._kept
        if ahead and width == rows:
            try:
                return ahead.pop()
            except IndexError:  # another thread took the last
                pass
        with torch.inference_mode(False):
            made = [torch.empty(rows, dtype=torch.int64) for _ in range(AHEAD)]
        first, *ahead = [(tokens, self._way(tokens)) for tokens in made]
        self._kept = rows, ahead
        return first


class Singles:
    """The same for the token of an only row, known on the host."""

    def __init__(self) -> None:
        self._answers = Answers(_cell)

    def of(self, token: int) -> Tensor:
        """() -> (1,) int64."""
        tokens, cell = self._answers.take(1)
        cell.value = token
        return tokens


def _cell(tokens: Tensor) -> c_int64:
    """Where the number is, (1,) int64, for Python to write: a tenth of what a tensor's own ways cost."""
    return c_int64.from_address(tokens.data_ptr())
