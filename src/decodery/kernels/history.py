"""Which tokens occurred in each row, kept as they come: a step's cost does not grow with the text."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Container, Sequence

import torch
from torch import Tensor

from ..contracts.lowering import Seen


class _Row:
    """One row: its tokens in the scope, and the distinct ones in the order in which they came."""

    __slots__ = ("counts", "tokens")

    def __init__(self, tokens: Sequence[int]) -> None:
        self.tokens = list(tokens)
        self.counts = Counter(self.tokens)  # a dict keeps the order of first occurrence

    def copy(self) -> _Row:
        twin = _Row(())
        twin.tokens, twin.counts = self.tokens.copy(), self.counts.copy()
        return twin


class SeenTokens:
    """The edits of a `Seen`: `edits`, and the state behind them. See `contracts.lowering.EditSource`."""

    def __init__(self, seen: Seen, prompt_lengths: Tensor) -> None:
        self.seen = seen
        self._prompts: list[int] = prompt_lengths.tolist()
        self._padding: list[int] | None = None if seen.padding is None else seen.padding.tolist()
        self._rows: list[_Row] = []
        self._values = torch.tensor([[seen.value]])
        self._bounds = (0, 0)  # the least and the greatest id that ever came
        self._buffer: Tensor
        self._width: int  # of the buffer, what is in use
        self._touched: tuple[
            Tensor, Tensor
        ]  # that, and the value: a step without a new token answers the same
        self._store(array("q"), 0)
        self._widths: list[int] = []
        self._value = float(self._values)
        self._numbers = (self._value,)

    def begin(self, ids: Tensor, lengths: Tensor) -> None:
        texts = [row[:length] for row, length in zip(ids.tolist(), lengths.tolist(), strict=True)]
        self._rows = [_Row(self._counted(place, text)) for place, text in enumerate(texts)]
        self._fill()

    def observe(self, tokens: Tensor, active: Tensor) -> None:
        for place, (token, on) in enumerate(zip(tokens.tolist(), active.tolist(), strict=True)):
            if on:
                self.observe_one(token, place)

    def observe_one(self, token: int, place: int = 0) -> None:
        """One token in one row, from the host."""
        if self.seen.scope == "prompt":
            return
        row = self._rows[place]
        row.tokens.append(token)
        row.counts[token] += 1
        if row.counts[token] == 1:
            self._put(place, token)
            self._bounds = (min(self._bounds[0], token), max(self._bounds[1], token))

    def select(self, rows: Tensor) -> None:
        places: list[int] = rows.tolist()
        taken: set[int] = set()
        chosen = []
        for place in places:
            chosen.append(self._rows[place].copy() if place in taken else self._rows[place])
            taken.add(place)
        self._rows = chosen
        self._prompts = [self._prompts[place] for place in places]
        self._padding = None if self._padding is None else [self._padding[place] for place in places]
        slots, size = array("q"), self._capacity
        for place in places:
            slots += self._slots[place * size : (place + 1) * size]
        self._widths = [self._widths[place] for place in places]
        self._store(slots, size)

    def rewind(self, counts: Tensor) -> None:
        if self.seen.scope == "prompt":
            return
        for place, count in enumerate(counts.tolist()):
            row = self._rows[place]
            for _ in range(count):
                token = row.tokens.pop()
                row.counts[token] -= 1
                if not row.counts[token]:
                    # Its first occurrence goes, which is the latest of all first occurrences.
                    del row.counts[token]
                    self._widths[place] -= 1
                    self._slots[place * self._capacity + self._widths[place]] = -1

    def edits(self, ids: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        width = max(self._widths, default=0)
        if self._width != width:
            self._width, self._touched = width, (self._buffer[:, :width], self._values)  # (R, C) -> (R, W)
        if not self.seen.times:
            return self._touched
        touched = self._touched[0]
        counts = torch.zeros(touched.shape)
        for place, row in enumerate(self._rows):
            counts[place, : len(row.counts)] = torch.tensor(list(row.counts.values()), dtype=torch.float32)
        return touched, counts * self.seen.value

    def _counted(self, place: int, text: list[int]) -> list[int]:
        begin = 0 if self._padding is None else self._padding[place]
        end = len(text)
        if self.seen.scope == "prompt":
            end = min(end, self._prompts[place])
        elif self.seen.scope == "output":
            begin = max(begin, self._prompts[place])
        return text[begin:end]

    def clean(self, vocab: int) -> bool:
        """Whether `edits` has neither an empty slot nor an id outside the vocabulary."""
        least, most = self._bounds
        return least >= 0 and most < vocab and min(self._widths, default=0) == max(self._widths, default=0)

    def of_one(
        self, ids: Tensor, lengths: Tensor
    ) -> tuple[Container[int], Callable[[int], float], Sequence[float]]:
        """`edits` of the only row, to be looked up: the tokens, the number of each, and what its sign goes by."""
        value, counts = self._value, self._rows[0].counts
        if not self.seen.times:
            return counts, lambda token: value, self._numbers
        return counts, lambda token: _product(counts[token], value), self._numbers

    def _fill(self) -> None:
        self._widths = [len(row.counts) for row in self._rows]
        came = [token for row in self._rows for token in row.counts]
        self._bounds = (min(came, default=0), max(came, default=0))
        capacity = 2 * max(self._widths, default=0) + 64
        slots = array("q")
        for row in self._rows:
            slots.extend(row.counts)
            slots.extend([-1] * (capacity - len(row.counts)))
        self._store(slots, capacity)

    def _put(self, place: int, token: int) -> None:
        if self._widths[place] == self._capacity:
            size, more = self._capacity, array("q", [-1]) * self._capacity
            slots = array("q")
            for begin in range(0, len(self._slots), size):
                slots += self._slots[begin : begin + size] + more
            self._store(slots, 2 * size)
        self._slots[place * self._capacity + self._widths[place]] = token
        self._widths[place] += 1

    def _store(self, slots: array[int], capacity: int) -> None:
        """Each row's distinct tokens, -1 behind them: numbers that Python writes one by one and torch reads."""
        self._slots, self._capacity = slots, capacity
        self._buffer = (
            torch.frombuffer(slots, dtype=torch.int64).view(-1, capacity)  # (R x C,) -> (R, C)
            if slots
            else torch.empty(0, 0, dtype=torch.int64)
        )
        self._width, self._touched = 0, (self._buffer[:, :0], self._values)


def _product(count: int, value: float) -> float:
    """In float32."""
    return array("f", [count * value])[0]


class NewestTokens:
    """The edits of a `Seen` with a window: the newest slots are read anew, which costs the window, not the text."""

    def __init__(self, seen: Seen) -> None:
        self.seen, self._padding = seen, seen.padding
        self._values = torch.tensor([[seen.value]])

    def select(self, rows: Tensor) -> None:
        self._padding = None if self._padding is None else self._padding[rows]

    def edits(self, ids: Tensor, lengths: Tensor, prompt_lengths: Tensor) -> tuple[Tensor, Tensor]:
        """(R, T) int64, (R,) int64, (R,) int64."""
        window = min(self.seen.window or ids.shape[1], ids.shape[1])
        slots = lengths.unsqueeze(1) - window + torch.arange(window)  # (R, 1) + (W,) -> (R, W)
        counted = slots >= 0
        if self._padding is not None:
            counted &= slots >= self._padding.unsqueeze(1)
        if self.seen.scope != "all":
            in_prompt = slots < prompt_lengths.unsqueeze(1)
            counted &= in_prompt if self.seen.scope == "prompt" else ~in_prompt
        found = ids.gather(1, slots.clamp(min=0)).masked_fill(~counted, -1)
        if not self.seen.times:
            return found, self._values
        tallies = [Counter(token for token in row if token >= 0) for row in found.tolist()]
        width = max(map(len, tallies), default=0)
        touched = torch.full((len(tallies), width), -1, dtype=torch.int64)
        values = torch.zeros(touched.shape)
        for place, tally in enumerate(tallies):
            touched[place, : len(tally)] = torch.tensor(list(tally), dtype=torch.int64)
            values[place, : len(tally)] = torch.tensor(list(tally.values()), dtype=torch.float32)
        return touched, values * self.seen.value
