"""What followed each (n - 1)-gram of a row: a table that grows by one entry a token."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import torch
from torch import Tensor

from ...contracts.lowering import Follows


class _Row:
    __slots__ = ("followers", "tokens")

    def __init__(self) -> None:
        self.tokens: list[int] = []
        self.followers: defaultdict[tuple[int, ...], list[int]] = defaultdict(list)

    def copy(self) -> _Row:
        twin = _Row()
        twin.tokens = self.tokens.copy()
        twin.followers.update({gram: found.copy() for gram, found in self.followers.items()})
        return twin


class Ngrams:
    """The tokens that would complete an n-gram the row already has. See `contracts.lowering.EditSource`."""

    def __init__(self, ngram_size: int) -> None:
        self._before = ngram_size - 1
        self.follows = Follows(self._before, self._before, (-torch.inf,))
        self._rows: list[_Row] = []
        self._values = torch.tensor([[-torch.inf]])

    def begin(self, ids: Tensor, lengths: Tensor) -> None:
        self._rows = []
        for tokens, length in zip(ids.tolist(), lengths.tolist(), strict=True):
            row = _Row()
            for token in tokens[:length]:
                self._append(row, token)
            self._rows.append(row)

    def observe(self, tokens: Tensor, active: Tensor) -> None:
        for row, token, on in zip(self._rows, tokens.tolist(), active.tolist(), strict=True):
            if on:
                self._append(row, token)

    def select(self, rows: Tensor) -> None:
        places: list[int] = rows.tolist()
        chosen: list[_Row] = []
        for at, place in enumerate(places):
            chosen.append(self._rows[place].copy() if place in places[:at] else self._rows[place])
        self._rows = chosen

    def rewind(self, counts: Tensor) -> None:
        for row, count in zip(self._rows, counts.tolist(), strict=True):
            for _ in range(count):
                row.tokens.pop()
                if len(row.tokens) >= self._before:
                    row.followers[self._gram(row)].pop()

    def edits(self, ids: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        found: list[Sequence[int]] = [
            row.followers.get(self._gram(row), ()) if len(row.tokens) >= self._before else ()
            for row in self._rows
        ]
        width = max(map(len, found), default=0)
        touched = torch.tensor([[*some, *[-1] * (width - len(some))] for some in found], dtype=torch.int64)
        return touched.view(len(found), width), self._values

    def _append(self, row: _Row, token: int) -> None:
        if len(row.tokens) >= self._before:
            row.followers[self._gram(row)].append(token)
        row.tokens.append(token)

    def _gram(self, row: _Row) -> tuple[int, ...]:
        return tuple(row.tokens[len(row.tokens) - self._before :])
