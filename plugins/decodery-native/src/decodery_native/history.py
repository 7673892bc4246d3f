"""Histories in C++: what followed earlier occurrences of a row's end."""

from __future__ import annotations

import torch
from torch import Tensor

from decodery.contracts.lowering import Follows

from . import _native


class Histories:
    """The edits of a `Follows`; see `decodery.contracts.lowering.EditSource`."""

    def __init__(self, follows: Follows) -> None:
        self._follows = follows
        self._padding: list[int] | None = None if follows.padding is None else follows.padding.tolist()
        self._rows: list[_native.Grams | _native.Repeats] = []
        self._prices = torch.tensor(follows.values, dtype=torch.float32)
        self._nothing = torch.empty(1, 0, dtype=torch.int64), torch.empty(1, 1)

    def begin(self, ids: Tensor, lengths: Tensor) -> None:
        self._rows = []
        for place, (tokens, end) in enumerate(zip(ids.contiguous(), lengths.tolist(), strict=True)):
            first = 0 if self._padding is None else self._padding[place]
            row = self._made()
            row.read(tokens.data_ptr() + 8 * first, end - first)
            self._rows.append(row)

    def observe(self, tokens: Tensor, active: Tensor) -> None:
        for row, token, on in zip(self._rows, tokens.tolist(), active.tolist(), strict=True):
            if on:
                row.append(token)

    def select(self, rows: Tensor) -> None:
        places: list[int] = rows.tolist()
        old = self._rows
        self._rows = [
            old[place].copy() if place in places[:at] else old[place] for at, place in enumerate(places)
        ]
        self._padding = None if self._padding is None else [self._padding[place] for place in places]

    def rewind(self, counts: Tensor) -> None:
        for row, count in zip(self._rows, counts.tolist(), strict=True):
            row.undo(count)

    def edits(self, ids: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """(R, T) int64, (R,) int64 -> (R, E) int64, (R, E) float32."""
        width = max([row.find() for row in self._rows], default=0)
        if not width:
            return self._nothing
        touched = torch.full((len(self._rows), width), -1, dtype=torch.int64)
        values = torch.zeros(touched.shape)
        for place, row in enumerate(self._rows):
            if len(self._rows) > 1:  # else the first look stands
                row.find()
            _native.write(
                touched.data_ptr() + 8 * width * place,
                values.data_ptr() + 4 * width * place,
                self._prices.data_ptr(),
                self._follows.least,
            )
        return touched, values

    def _made(self) -> _native.Grams | _native.Repeats:
        follows = self._follows
        if follows.least == follows.most and not follows.breakers:
            return _native.Grams(follows.least)
        return _native.Repeats(follows.least, follows.most, sorted(follows.breakers))
