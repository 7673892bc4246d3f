"""What a generation gives back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import torch
from torch import Tensor

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class TokenLogprobs:
    """Log-probabilities of one generated token: of the model (raw) and of the recipe (processed), each with the K best
    as (token, log-probability)."""

    token: int
    raw: float
    processed: float
    top_raw: tuple[tuple[int, float], ...] = ()
    top_processed: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """One generated row. `tokens` are the new ones, eos kept, never padding; `text` is None without a tokenizer.

    `seed` is the caller's own seed of this prompt, else the call's.
    """

    prompt_index: int
    sample_index: int
    prompt: tuple[int, ...]
    tokens: list[int]
    text: str | None
    finish_reason: str
    seed: int | None
    logprobs: list[TokenLogprobs] | None = None
    scores: Tensor | None = None
    sequence_score: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Generation:
    """Rows in the order of the prompts; with n > 1 all samples of a prompt stand together.

    `seed` repeats the call. It is None where nothing was drawn, where every prompt had a seed of its own, and where
    transformers' layout drew from torch's global generator. `fallbacks` counts the rows, over all steps, that kernels
    left to the steps themselves because rounding could have decided.
    """

    rows: list[Row]
    pad: int
    seed: int | None = None
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    fallbacks: int = 0

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Row:
        return self.rows[index]

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    @property
    def tokens(self) -> list[list[int]]:
        """New tokens of each row."""
        return [row.tokens for row in self.rows]

    @property
    def texts(self) -> list[str]:
        """New text of each row; empty list when no tokenizer is known."""
        return [row.text for row in self.rows if row.text is not None]

    @property
    def finish_reasons(self) -> list[str]:
        """ "eos", "length", "context", "stop_string", "interrupted", "error", or a stop rule's name."""
        return [row.finish_reason for row in self.rows]

    @property
    def sequences(self) -> Tensor:
        """LongTensor (B, T + N): prompt and new tokens, right-padded with the pad id."""
        full = [[*row.prompt, *row.tokens] for row in self.rows]
        width = max(map(len, full), default=0)
        return torch.tensor(
            [ids + [self.pad] * (width - len(ids)) for ids in full], dtype=torch.int64, device=self.device
        )

    @property
    def logprobs(self) -> list[list[TokenLogprobs]] | None:
        """A list a row, one entry a token; None unless asked for."""
        return _all_or_none([row.logprobs for row in self.rows])

    @property
    def scores(self) -> list[Tensor] | None:
        """(N, V) processed scores of each row; None unless asked for."""
        return _all_or_none([row.scores for row in self.rows])

    @property
    def sequence_scores(self) -> list[float] | None:
        """From strategies that rank; None from the others."""
        return _all_or_none([row.sequence_score for row in self.rows])


def _all_or_none(values: Sequence[T | None]) -> list[T] | None:
    kept = [value for value in values if value is not None]
    return kept if values and len(kept) == len(values) else None
