"""DRY as an edit: what the planner fuses, token by token the step's own numbers."""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import Tensor

from decodery.contracts.lowering import Follows

from .automaton import SuffixAutomaton
from .dry import DEAREST


class Repeated:
    """What to add to each token that would go on with a repetition. See `decodery.contracts.lowering.EditSource`."""

    def __init__(
        self,
        multiplier: float,
        base: float,
        allowed_length: int,
        longest: int,
        breakers: frozenset[int],
        padding: Tensor | None,
    ) -> None:
        lengths = range(longest - allowed_length + 1)
        prices = tuple(-min(multiplier * base**length, DEAREST) for length in lengths)
        self.follows = Follows(allowed_length, longest, prices, breakers, padding)
        self._padding: list[int] | None = None if padding is None else padding.tolist()
        self._rows: list[SuffixAutomaton] = []

    def begin(self, ids: Tensor, lengths: Tensor) -> None:
        """(R, T) int64, (R,) int64."""
        breakers = self.follows.breakers
        self._rows = []
        for place, (tokens, end) in enumerate(zip(ids.tolist(), lengths.tolist(), strict=True)):
            row = SuffixAutomaton(self.follows.most, lambda text: text[-1] in breakers)
            for token in tokens[0 if self._padding is None else self._padding[place] : end]:
                row.append(token)
            self._rows.append(row)

    def observe(self, tokens: Tensor, active: Tensor) -> None:
        """(R,) int64, (R,) bool."""
        for row, token, on in zip(self._rows, tokens.tolist(), active.tolist(), strict=True):
            if on:
                row.append(token)

    def select(self, rows: Tensor) -> None:
        """(R',) int64."""
        places, old = rows.tolist(), self._rows
        self._rows = [
            deepcopy(old[place]) if place in places[:at] else old[place] for at, place in enumerate(places)
        ]
        self._padding = None if self._padding is None else [self._padding[place] for place in places]

    def rewind(self, counts: Tensor) -> None:
        """(R,) int64."""
        for row, count in zip(self._rows, counts.tolist(), strict=True):
            for _ in range(count):
                row.undo()

    def edits(self, ids: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """(R, T) int64, (R,) int64 -> (R, E) int64, (R, E) float32."""
        least, prices = self.follows.least, self.follows.values
        found = [
            [(token, prices[k - least]) for token, k in row.followers(least).items() if self._counts(token)]
            for row in self._rows
        ]
        width = max(map(len, found), default=0)
        padded = [[*some, *[(-1, 0.0)] * (width - len(some))] for some in found]
        touched = torch.tensor([[token for token, _ in some] for some in padded], dtype=torch.int64)
        values = torch.tensor([[price for _, price in some] for some in padded])
        return touched.view(len(found), width), values.view(len(found), width)

    def _counts(self, token: int) -> bool:
        return token not in self.follows.breakers
