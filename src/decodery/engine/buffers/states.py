"""The outputs of some layers for every column that a session was fed."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


class States:
    """`layers` as a session counts them: 0 are the embeddings, -1 is the last layer. The buffer is (L, R, C, H), of
    which the first columns are in use; it doubles when it is full, so that each column is copied a few times only."""

    def __init__(self, layers: Sequence[int]) -> None:
        self.layers = tuple(layers)
        self._buffer: Tensor | None = None
        self._columns = 0

    def write(self, starts: Sequence[int], states: Tensor) -> None:
        """(L, R, K, H): what row r's columns from `starts[r]` on gave; earlier ones stay."""
        layers, rows, count, size = states.shape
        end = max(starts) + count
        old = self._buffer
        if old is None or old.shape[2] < end:
            self._buffer = states.new_zeros(layers, rows, 2 * end, size)
            if old is not None:
                self._buffer[:, :, : old.shape[2]] = old
        at = torch.arange(count, device=states.device)
        at = torch.tensor(list(starts), device=states.device).unsqueeze(1) + at  # (R, 1) + (K,) -> (R, K)
        index = at.view(1, rows, count, 1).expand(layers, rows, count, size)  # (R, K) -> (L, R, K, H)
        if self._buffer is not None:
            self._buffer.scatter_(2, index, states)
        self._columns = end

    def of_tokens(self, offsets: Sequence[int], lengths: Sequence[int], newest: int | None = None) -> Tensor:
        """(L, R, T, H), right-padded: row r's tokens begin at column `offsets[r]`; T is the longest row, or what was
        fed of it. With `newest` (L, R, newest, H), those at each row's end. Raises `LookupError` where nothing is."""
        if self._buffer is None:
            raise LookupError("no hidden states yet")
        layers, rows, _, size = self._buffer.shape
        width = min(max(lengths), self._columns - min(offsets))
        first = list(offsets)
        if newest is not None:
            first = [offset + length - newest for offset, length in zip(offsets, lengths, strict=True)]
            width = newest
        begin = torch.tensor(first, device=self._buffer.device).unsqueeze(1)  # (R,) -> (R, 1)
        at = (begin + torch.arange(width, device=self._buffer.device)).clamp(0, self._columns - 1)  # (R, T)
        return self._buffer.gather(2, at.view(1, rows, width, 1).expand(layers, rows, width, size))

    def select(self, rows: Tensor) -> None:
        """(R',) int64."""
        self._buffer = None if self._buffer is None else self._buffer[:, rows]

    def forget(self) -> None:
        """The session is gone."""
        self._buffer, self._columns = None, 0
