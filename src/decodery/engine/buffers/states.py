"""The outputs of some layers for every column that a session was fed."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


class States:
    """`layers` as a session counts them: 0 are the embeddings, -1 is the last layer. The buffer is (L, R, C, H)."""

    def __init__(self, layers: Sequence[int]) -> None:
        self.layers = tuple(layers)
        self._buffer: Tensor | None = None

    def write(self, starts: Sequence[int], states: Tensor) -> None:
        """(L, R, K, H): what row r's columns from `starts[r]` on gave; earlier ones stay, later ones are forgotten."""
        layers, rows, count, size = states.shape
        end = max(starts) + count
        old = self._buffer
        buffer = states.new_zeros(layers, rows, end, size)
        if old is not None:
            kept = min(old.shape[2], end)
            buffer[:, :, :kept] = old[:, :, :kept]
        at = torch.tensor(list(starts), device=states.device).unsqueeze(1) + torch.arange(
            count, device=states.device
        )
        index = at.view(1, rows, count, 1).expand(layers, rows, count, size)  # (R, K) -> (L, R, K, H)
        self._buffer = buffer.scatter(2, index, states)

    def of_tokens(self, offsets: Sequence[int], lengths: Sequence[int]) -> Tensor:
        """(L, R, T, H), right-padded: row r's tokens begin at column `offsets[r]`; T is the longest row, or what was
        fed of it."""
        if self._buffer is None:
            raise RuntimeError("nothing was written")
        layers, rows, columns, size = self._buffer.shape
        begin = torch.tensor(list(offsets), device=self._buffer.device).unsqueeze(1)  # (R,) -> (R, 1)
        width = min(max(lengths), columns - min(offsets))
        at = (begin + torch.arange(width, device=self._buffer.device)).clamp(max=columns - 1)  # (R, T)
        return self._buffer.gather(2, at.view(1, rows, width, 1).expand(layers, rows, width, size))

    def select(self, rows: Tensor) -> None:
        """(R',) int64."""
        self._buffer = None if self._buffer is None else self._buffer[:, rows]

    def forget(self) -> None:
        """The session is gone."""
        self._buffer = None
