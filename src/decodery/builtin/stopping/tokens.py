"""Rows that end in a certain token."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..reference.rows import check_ids, lengths_of, newest


def ends_in(input_ids: Tensor, lengths: Tensor, ids: Tensor) -> Tensor:
    """Whether each row's newest token is one of `ids`: (R, T) int64, (R,) int64, (E,) int64 -> (R,) bool."""
    return (newest(input_ids, lengths, 1) == ids).any(dim=-1)  # (R, 1), (E,) -> (R,)


class StopTokenIds:
    """Ends a row at any of these tokens. Raises `InvalidInput` for ids that the vocabulary has not: they never come.

    Where `vocab_size` is not known the first scores tell it.
    """

    def __init__(self, *, ids: Sequence[int], vocab_size: int | None = None) -> None:
        if vocab_size is not None:
            check_ids("stop_token_ids", ids, vocab_size)
        self.ids = torch.tensor(list(ids), dtype=torch.int64)
        self._named = tuple(ids)

    def __call__(
        self,
        input_ids: Tensor,
        scores: Tensor,
        *,
        lengths: Tensor | None = None,
        prompt_lengths: Tensor | None = None,
    ) -> Tensor:
        """(R, T) int64, (R, V), (R,) int64, (R,) int64 -> (R,) bool."""
        if scores.shape[-1]:  # a strategy that has no processed scores shows none
            check_ids("stop_token_ids", self._named, scores.shape[-1])
        self.ids = self.ids.to(input_ids.device)
        return ends_in(input_ids, lengths_of(input_ids, lengths), self.ids)

    def of_newest(self, tokens: Tensor, lengths: Tensor, prompt_lengths: Tensor) -> Tensor:
        """(R,) int64 each -> (R,) bool."""
        self.ids = self.ids.to(tokens.device)
        return (tokens.unsqueeze(1) == self.ids).any(-1)  # (R, 1) == (E,) -> (R,)


class Eos(StopTokenIds):
    """Ends a row at the model's end-of-sequence tokens; never where none is known."""

    def __init__(self, *, eos: Sequence[int]) -> None:
        super().__init__(ids=eos)
        self._named = ()  # the model's own word: an output layer smaller than its tokenizer is none of the caller's
