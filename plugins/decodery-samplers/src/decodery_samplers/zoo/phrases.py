"""A phrase that is written for the model, token by token, once something has called for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from decodery.contracts.errors import InvalidInput
from decodery.contracts.protocols import Tokenizer

from ..penalties.forced_tokens import forced


def phrase_ids(tokenizer: Tokenizer, phrase: str, owner: str) -> tuple[int, ...]:
    """The tokens of a phrase. Raises `InvalidInput` for one that has none."""
    ids = tuple(tokenizer.encode(phrase, special=False))
    if not ids:
        raise InvalidInput(
            f"{owner}: {phrase!r} has no tokens", remedy="give a text that the tokenizer knows"
        )
    return ids


@dataclass(frozen=True, slots=True)
class State:
    """`place`: how much of the phrase is written, -1 while nothing calls for it. `times`: how often it was complete.
    `count`: whatever the caller counts."""

    place: int = -1
    times: int = 0
    count: int = 0


class Caller:
    """A step that watches the scores and now and then forces a phrase.

    `_wanted(state, row) -> State` says what a row's scores (V,) make of its state before the next token: with `place`
    0 or more, that token of the phrase is forced. It becomes the row's state when the token comes.
    """

    phrase: tuple[int, ...]

    def __init__(self) -> None:
        self._past: list[list[State]] = []
        self._pending: list[State] | None = None

    def _wanted(self, state: State, row: Tensor) -> State:
        raise NotImplementedError

    def _written(self, state: State, token: int) -> State:
        """The state after a token: one more of the phrase, or the phrase given up where another step wrote its own."""
        if state.place < 0:
            return state
        if token != self.phrase[state.place]:
            return replace(state, place=-1)
        if state.place + 1 < len(self.phrase):
            return replace(state, place=state.place + 1)
        return replace(state, place=-1, times=state.times + 1, count=0)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """(R, T) int64, (R, V) float -> (R, V)."""
        states = [past[-1] for past in self._rows(len(scores))]
        self._pending = [self._wanted(state, row) for state, row in zip(states, scores, strict=True)]
        places = [state.place for state in self._pending]
        if all(place < 0 for place in places):
            return scores
        tokens = torch.tensor([self.phrase[max(place, 0)] for place in places], device=scores.device)
        now = torch.tensor([place >= 0 for place in places], device=scores.device)
        return forced(scores, tokens, now & (tokens < scores.shape[-1]))

    def observe(self, tokens: Tensor, active: Tensor) -> None:
        """(R,) int64, (R,) bool."""
        pending = self._pending or [past[-1] for past in self._rows(len(tokens))]
        for past, state, token, grows in zip(
            self._rows(len(tokens)), pending, tokens.tolist(), active.tolist(), strict=True
        ):
            if grows:
                past.append(self._written(state, token))
        self._pending = None

    def select(self, rows: Tensor) -> None:
        """(R',) int64."""
        order: Sequence[int] = rows.tolist()
        if self._past:
            self._past = [list(self._past[row]) for row in order]
        self._pending = None if self._pending is None else [self._pending[row] for row in order]

    def rewind(self, counts: Tensor) -> None:
        """(R,) int64."""
        for past, count in zip(self._rows(len(counts)), counts.tolist(), strict=True):
            del past[max(len(past) - count, 1) :]
        self._pending = None

    def _rows(self, count: int) -> list[list[State]]:
        if not self._past:
            self._past = [[State()] for _ in range(count)]
        return self._past
