"""Numbers that a row's tokens move, with their past, so that tokens can be taken back. All of it on the device."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


class Journal:
    """`values` (R, C, S) float64, the newest at `at` (R,); made for as many rows as come."""

    def __init__(self, start: Sequence[float]) -> None:
        self._start = tuple(start)
        self._values: Tensor | None = None
        self._at: Tensor | None = None
        self._pushed = 0  # how far any row can have come

    def current(self, rows: int, device: torch.device) -> Tensor:
        """(R, S) float64."""
        values, at = self._ready(rows, device)
        return values.gather(1, at.view(-1, 1, 1).expand(-1, 1, values.shape[-1])).squeeze(
            1
        )  # (R, 1, S) -> (R, S)

    def push(self, values: Tensor, active: Tensor) -> None:
        """(R, S) float64 after one more token, in the rows where `active` (R,) bool."""
        past, at = self._ready(len(active), active.device)
        if self._pushed + 1 >= past.shape[1]:
            past = torch.cat((past, torch.zeros_like(past)), dim=1)  # (R, C, S) -> (R, 2C, S)
        at = at + active
        place = at.view(-1, 1, 1).expand(-1, 1, past.shape[-1])  # (R,) -> (R, 1, S)
        kept = past.gather(1, place)
        self._values = past.scatter(1, place, torch.where(active.view(-1, 1, 1), values.unsqueeze(1), kept))
        self._at = at
        self._pushed += 1

    def select(self, rows: Tensor) -> None:
        """(R',) int64."""
        if self._values is not None and self._at is not None:
            self._values, self._at = self._values[rows], self._at[rows]

    def rewind(self, counts: Tensor) -> None:
        """(R,) int64."""
        if self._at is not None:
            self._at = (self._at - counts).clamp(min=0)

    def _ready(self, rows: int, device: torch.device) -> tuple[Tensor, Tensor]:
        if self._values is None or self._at is None:
            start = torch.tensor(self._start, dtype=torch.float64, device=device)
            self._values = start.expand(rows, 16, -1).clone()  # (S,) -> (R, 16, S)
            self._at = torch.zeros(rows, dtype=torch.int64, device=device)

        return self._values, self._at
