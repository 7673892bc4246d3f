"""The tokens of every row: one buffer, right-padded, with lengths on the device and on the host.

Device writes are sync-free; the host's copy of the lengths is advanced by what the host already knows.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence

import torch
from torch import Tensor

_FIRST = 16_384
_FEW = 32
"""So many rows are written one by one."""
_NONE = array("q")


class History:
    """`tokens` (R, capacity) int64, `lengths`, `prompt_lengths`, `steps` (R,) int64, `host_lengths` list[int].

    `steps` counts generated tokens; the row generator reads it, so it is advanced in place. On a CPU all of them are
    Python's arrays as well, until rows are selected.
    """

    def __init__(self, rows: Sequence[Sequence[int]], pad: int, device: torch.device) -> None:
        self.pad, self._device = pad, device
        self.host_lengths = [len(row) for row in rows]
        width = max(self.host_lengths)
        filled = array("q")
        for row in rows:
            filled.extend(row)
            filled.extend([pad] * (width - len(row)))
        self._cells, tokens = self._numbers(filled)
        self.tokens = tokens.view(len(rows), width)  # (R x T,) -> (R, T)
        self._counts, self.lengths = self._numbers(array("q", self.host_lengths))
        self._stepped, self.steps = self._numbers(array("q", bytes(8 * len(rows))))
        self.prompt_lengths = self.lengths.clone()
        self.host_prompt_lengths = list(self.host_lengths)

    def reserve(self, capacity: int | None) -> None:
        """Make room for rows of `capacity` tokens at once; None: as they come. Past a generous first allocation room
        is made as rows grow, so that a limit of 10**12 costs nothing before it is reached."""
        capacity = min(capacity or 0, max(_FIRST, 2 * self.tokens.shape[1]))
        if capacity > self.tokens.shape[1]:
            old, rows = self.tokens, len(self.host_lengths)
            self._cells, tokens = self._numbers(array("q", [self.pad]) * (rows * capacity))
            self.tokens = tokens.view(rows, capacity)  # (R x C,) -> (R, C)
            self.tokens[:, : old.shape[1]] = old

    @property
    def level(self) -> int | None:
        """The length of all rows, None where they differ."""
        first = self.host_lengths[0]
        return first if self.host_lengths.count(first) == len(self.host_lengths) else None

    @property
    def input_ids(self) -> Tensor:
        """(R, longest) int64, a view."""
        return self.tokens[:, : max(self.host_lengths)]

    def write(
        self, tokens: Tensor, active: Tensor, rows: Sequence[int], host_tokens: Sequence[int] | None = None
    ) -> None:
        """Append (R,) int64 in the rows where `active` (R,) bool; `rows` lists the same rows for the host, which may
        know the tokens."""
        longest = max((self.host_lengths[row] for row in rows), default=0)
        if longest >= self.tokens.shape[1]:
            self.reserve(
                2 * self.tokens.shape[1]
            )  # doubling: each token is copied a constant number of times
        if len(rows) == len(self.host_lengths) and min(self.host_lengths) == longest:
            # All rows in step, as most runs are: one column, and nothing to be kept beside it.
            if self._cells and len(rows) <= _FEW:
                at, width = longest, self.tokens.shape[1]
                for row, token in enumerate(tokens.tolist() if host_tokens is None else host_tokens):
                    self._cells[at] = token
                    at += width
                    self._counts[row] += 1
                    self._stepped[row] += 1
            else:
                self.tokens[:, longest] = tokens
                self.lengths += 1
                self.steps += 1
            self.host_lengths = [longest + 1] * len(rows)
            return
        self.write_on_device(tokens, active)
        self.count(rows)

    @property
    def on_host(self) -> bool:
        """Whether `write_one` can write."""
        return len(self._cells) > 0

    def write_one(self, token: int) -> int:
        """Append to the only row, from the host -> its length."""
        length = self.host_lengths[0]
        if length >= self.tokens.shape[1]:
            self.reserve(2 * self.tokens.shape[1])
        self._cells[length] = token
        self._counts[0] += 1
        self._stepped[0] += 1
        self.host_lengths[0] = length + 1
        return length + 1

    def write_on_device(self, tokens: Tensor, active: Tensor) -> None:
        """The device's share of `write`, at fixed addresses: what a CUDA graph can hold. There must be room."""
        position = self.lengths.clamp(max=self.tokens.shape[1] - 1).unsqueeze(1)  # (R,) -> (R, 1)
        kept = self.tokens.gather(1, position).squeeze(1)  # (R, 1) -> (R,)
        self.tokens.scatter_(1, position, torch.where(active, tokens, kept).unsqueeze(1))  # (R,) -> (R, 1)
        self.lengths += active
        self.steps += active

    def count(self, rows: Sequence[int]) -> None:
        """The host's share."""
        for row in rows:
            self.host_lengths[row] += 1

    def with_candidates(self, rows: Tensor, tokens: Tensor) -> Tensor:
        """(C,) int64, (C,) int64 -> (C, longest + 1): the text of row `rows[i]` with `tokens[i]` behind it."""
        ids = torch.nn.functional.pad(self.input_ids[rows], (0, 1), value=self.pad)  # (C, T) -> (C, T + 1)
        return ids.scatter(1, self.lengths[rows].unsqueeze(1), tokens.unsqueeze(1))  # (C,) -> (C, 1)

    def columns(self, start: int, stop: int, offsets: Sequence[int]) -> Tensor:
        """The model's columns [start, stop) as (R, stop - start) int64, row r's tokens beginning at column offsets[r];
        the pad id stands before and after them."""
        width = self.tokens.shape[1]
        if not any(offsets) and stop <= width:
            return self.tokens[:, start:stop]
        shift = torch.tensor(offsets, device=self.tokens.device).unsqueeze(1)  # (R,) -> (R, 1)
        at = torch.arange(start, stop, device=self.tokens.device) - shift  # (C,) - (R, 1) -> (R, C)
        inside = (at >= 0) & (at < self.lengths.unsqueeze(1))
        return self.tokens.gather(1, at.clamp(0, width - 1)).masked_fill(~inside, self.pad)

    def select(self, rows: Tensor, host_rows: Sequence[int]) -> None:
        """(R',) int64, and the same on the host: reorder, repeat or drop rows."""
        self._cells = self._counts = self._stepped = _NONE
        self.tokens = self.tokens.index_select(0, rows)  # (R, C) -> (R', C)
        self.lengths = self.lengths.index_select(0, rows)
        self.prompt_lengths = self.prompt_lengths.index_select(0, rows)
        self.steps = self.steps.index_select(0, rows)
        self.host_lengths = [self.host_lengths[row] for row in host_rows]
        self.host_prompt_lengths = [self.host_prompt_lengths[row] for row in host_rows]

    def rewind(self, counts: Tensor, host_counts: Sequence[int]) -> None:
        """(R,) int64, and the same on the host: take so many tokens back from each row."""
        self.lengths -= counts
        self.steps -= counts
        self.host_lengths = [
            length - count for length, count in zip(self.host_lengths, host_counts, strict=True)
        ]
        places = torch.arange(self.tokens.shape[1], device=self.tokens.device)
        self.tokens.masked_fill_(places >= self.lengths.unsqueeze(1), self.pad)  # (R, 1) -> (R, C)

    def _numbers(self, numbers: array[int]) -> tuple[array[int], Tensor]:
        """int64 in one place for Python to write and torch to read, where both can: a tensor's element costs as much
        to write as a hundred of Python's. Elsewhere the first is empty."""
        if self._device.type == "cpu" and numbers:
            return numbers, torch.frombuffer(numbers, dtype=torch.int64)
        return _NONE, torch.tensor(numbers.tolist(), dtype=torch.int64, device=self._device)
