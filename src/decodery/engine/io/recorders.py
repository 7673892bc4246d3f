"""Observers that the engine itself uses: scores and log-probabilities for the result, when asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

import torch
from torch import Tensor

from .generation import TokenLogprobs

R = TypeVar("R")


class _Rows(Generic[R]):
    """A list a row, one entry a token, that follows the rows of its run."""

    wants = frozenset({"scores", "tokens"})

    def __init__(self, rows: int) -> None:
        self.rows: list[list[R]] = [[] for _ in range(rows)]

    def on_select(self, rows: Tensor) -> None:
        """(R',) int64."""
        self.rows = [list(self.rows[row]) for row in rows.tolist()]

    def on_rewind(self, counts: Tensor) -> None:
        """(R,) int64."""
        self.rows = [kept[: len(kept) - n] for kept, n in zip(self.rows, counts.tolist(), strict=True)]


class ScoreRecorder(_Rows[Tensor]):
    """Keeps each row's processed scores: `rows[r]` is a list of (V,), one a token."""

    def __init__(self, rows: int) -> None:
        super().__init__(rows)
        self._scores: Tensor | None = None

    def on_select(self, rows: Tensor) -> None:
        super().on_select(rows)
        self._scores = None if self._scores is None else self._scores[rows]  # (R, V) -> (R', V)

    def on_scores(self, raw: Tensor, processed: Tensor, active: Tensor) -> None:
        self._scores = processed

    def on_tokens(self, tokens: Tensor, active: Tensor, reasons: Sequence[str | None]) -> None:
        for row in active.nonzero().flatten().tolist():  # (R,) -> (G, 1) -> (G,)
            if self._scores is not None:
                self.rows[row].append(self._scores[row].clone())


class LogprobRecorder(_Rows[TokenLogprobs]):
    """Keeps the chosen token's log-probability, raw and processed, and those of the `k` best of each."""

    def __init__(self, rows: int, k: int) -> None:
        super().__init__(rows)
        self._k = k
        self._raw = self._processed = torch.empty(0)

    def on_select(self, rows: Tensor) -> None:
        super().on_select(rows)
        if len(self._raw):
            self._raw, self._processed = self._raw[rows], self._processed[rows]  # (R, V) -> (R', V)

    def on_scores(self, raw: Tensor, processed: Tensor, active: Tensor) -> None:
        self._raw, self._processed = raw.log_softmax(-1), processed.log_softmax(-1)

    def on_tokens(self, tokens: Tensor, active: Tensor, reasons: Sequence[str | None]) -> None:
        for row in active.nonzero().flatten().tolist():  # (R,) -> (G, 1) -> (G,)
            token = int(tokens[row])
            self.rows[row].append(
                TokenLogprobs(
                    token,
                    float(self._raw[row, token]),
                    float(self._processed[row, token]),
                    self._best(self._raw[row]),
                    self._best(self._processed[row]),
                )
            )

    def _best(self, logprobs: Tensor) -> tuple[tuple[int, float], ...]:
        values, ids = logprobs.topk(min(self._k, len(logprobs)))
        return tuple((int(i), float(v)) for i, v in zip(ids, values, strict=True) if v > -torch.inf)
