"""Which rows a run has, which of them are due, and why the others ended: on the host, with a mask on the device."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import torch
from torch import Tensor


class Roster:
    """`reasons[r]` says why row r ended, None while it goes on; `ends[r]` is its length when it did, or now;
    `lineage[r]` which of the first rows it comes from. `active` are the rows that are due, `mask` (R,) bool the same
    on the device."""

    def __init__(self, lengths: Sequence[int], device: torch.device) -> None:
        self._device = device
        self.reasons: list[str | None] = [None] * len(lengths)
        self.ends = list(lengths)
        self.lineage = list(range(len(lengths)))
        self.active: list[int] = []
        self.mask = self.mask_of([])

    def __len__(self) -> int:
        return len(self.reasons)

    @property
    def everyone(self) -> list[int]:
        return list(range(len(self.reasons)))

    @property
    def unfinished(self) -> list[int]:
        return [row for row, reason in enumerate(self.reasons) if reason is None]

    @property
    def growing(self) -> list[int]:
        """Active rows that are not finished: in transformers' layout finished rows go on drawing, for nobody to see."""
        return [row for row in self.active if self.reasons[row] is None]

    def growing_mask(self) -> Tensor:
        """(R,) bool."""
        return self.mask_of(self.growing)

    def finished_mask(self) -> Tensor:
        """(R,) bool."""
        return torch.tensor([reason is not None for reason in self.reasons], device=self._device)

    def mask_of(self, rows: Sequence[int]) -> Tensor:
        """(R,) bool."""
        mask = torch.zeros(len(self.reasons), dtype=torch.bool, device=self._device)
        mask[list(rows)] = True
        return mask

    def activate(self, rows: list[int]) -> None:
        if rows != self.active or len(self.mask) != len(self.reasons):
            self.active, self.mask = rows, self.mask_of(rows)

    def finish(self, row: int, reason: str) -> None:
        """A row that has ended keeps its reason."""
        self.reasons[row] = self.reasons[row] or reason

    def reopen(self, row: int, length: int) -> None:
        """Tokens were taken back from the row: it goes on."""
        self.reasons[row], self.ends[row] = None, length

    def select(self, rows: Sequence[int]) -> None:
        self.reasons = [self.reasons[row] for row in rows]
        self.lineage = [self.lineage[row] for row in rows]
        self.ends = [self.ends[row] for row in rows]
        due = set(self.active)
        self.activate([place for place, row in enumerate(rows) if row in due])


def earlier_copies(rows: Sequence[int]) -> list[int]:
    """For each place, how often its row stood before: [3, 1, 3] -> [0, 0, 1]."""
    seen: Counter[int] = Counter()
    copies = []
    for row in rows:
        copies.append(seen[row])
        seen[row] += 1
    return copies
