"""The pool of finished texts that a group of beams fills, as transformers 4 keeps it."""

from __future__ import annotations

from typing import Literal, NamedTuple


class Finished(NamedTuple):
    """A text that ended: its new tokens, its score, why it ended, and whether it is all that was asked for."""

    score: float
    tokens: tuple[int, ...]
    reason: str
    whole: bool = True


class Pool:
    """The `size` best texts. A text's score is its sum of log-probabilities over its length to `length_penalty`."""

    def __init__(
        self, size: int, length_penalty: float, early_stopping: bool | Literal["never"], horizon: int
    ) -> None:
        self.size, self.length_penalty, self.early_stopping = size, length_penalty, early_stopping
        self._horizon = horizon
        self.texts: list[Finished] = []
        self._worst = 1e9

    def add(
        self, total: float, tokens: tuple[int, ...], length: int, reason: str, whole: bool = True
    ) -> None:
        score = total / max(length, 1) ** self.length_penalty
        if len(self.texts) >= self.size and score <= self._worst:
            return
        self.texts.append(Finished(score, tokens, reason, whole))
        if len(self.texts) <= self.size:
            self._worst = min(score, self._worst)
            return
        order = sorted(range(len(self.texts)), key=lambda place: self.texts[place].score)
        self._worst = self.texts[order[1]].score
        del self.texts[order[0]]

    def closed(self, best: float, length: int) -> bool:
        """Whether no beam can enter any more; `best` is the best sum of log-probabilities at this length."""
        if len(self.texts) < self.size:
            return False
        if self.early_stopping is True:
            return True
        if self.early_stopping == "never" and self.length_penalty > 0.0:
            length = self._horizon
        return bool(self._worst >= best / length**self.length_penalty)
