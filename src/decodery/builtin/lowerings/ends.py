"""End-of-sequence tokens in rows that are too short to end."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence

import torch
from torch import Tensor

_BANNED = (-torch.inf,)


class EarlyEnds:
    """Bans `eos` in rows of less than `least` tokens beyond their prompts (`prompt_lengths` None: prompt included)."""

    def __init__(self, eos: Sequence[int], least: int, prompt_lengths: Tensor | None) -> None:
        self._eos, self._least = torch.tensor([list(eos)]), least
        self._tell(prompt_lengths)
        self._values = torch.tensor([[-torch.inf]])
        self._none = self._eos[:, :0]
        self._greatest = max(eos)
        self._agree = False  # every row is banned all of the ends, or none
        self._table = dict.fromkeys(eos, -torch.inf)

    def clean(self, vocab: int) -> bool:
        """Whether the last answer has neither an empty slot nor an id outside the vocabulary."""
        return self._agree and self._greatest < vocab

    def select(self, rows: Tensor) -> None:
        """(R',) int64."""
        self._tell(None if self._prompt_lengths is None else self._prompt_lengths[rows])

    def edits(self, ids: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """(R, T) int64, (R,) int64 -> (R, E) or (1, E) int64, (1, 1) float32."""
        if lengths.is_cpu:  # where looking costs nothing, rows mostly agree
            found = lengths.tolist()
            if self._on_host is not None:
                found = [length - prompt for length, prompt in zip(found, self._on_host, strict=True)]
            early = max(found, default=0) < self._least
            self._agree = early or min(found) >= self._least
            if self._agree:
                return self._eos if early else self._none, self._values
        length = lengths if self._prompt_lengths is None else lengths - self._prompt_lengths
        return torch.where((length < self._least).unsqueeze(1), self._eos, -1), self._values  # (R, 1), (1, E)

    def of_one(
        self, ids: Tensor, lengths: Tensor
    ) -> tuple[Container[int], Callable[[int], float], Sequence[float]]:
        """`edits` of the only row, to be looked up: the tokens, the number of each, and all numbers there are."""
        length = lengths.item()
        if self._prompt_lengths is not None:
            length -= (self._on_host or self._prompt_lengths.tolist())[0]
        tokens = self._table if length < self._least else ()
        return tokens, self._table.__getitem__, _BANNED

    def _tell(self, prompt_lengths: Tensor | None) -> None:
        self._prompt_lengths = prompt_lengths
        self._on_host: list[int] | None = None
        if prompt_lengths is not None and prompt_lengths.device.type == "cpu":
            self._on_host = prompt_lengths.tolist()


class AtBegin:
    """Bans tokens in rows of exactly `begin` (R,) int64 tokens. `greatest`: a vocabulary without it is the step's own
    affair."""

    def __init__(self, tokens: Sequence[int], begin: Tensor) -> None:
        self.greatest = max(tokens)
        self._tokens, self._begin = torch.tensor([list(tokens)]), begin
        self._values = torch.tensor([[-torch.inf]])

    def select(self, rows: Tensor) -> None:
        """(R',) int64."""
        self._begin = self._begin[rows]

    def edits(self, ids: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """(R, T) int64, (R,) int64 -> (R, E) int64, (1, 1) float32."""
        return torch.where((lengths == self._begin).unsqueeze(1), self._tokens, -1), self._values
