"""Tokens banned or forced by their id: always, where a row's own text begins, or where it must end."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

import torch
from torch import Tensor

from ...contracts.errors import InvalidInput
from .rows import check_ids, lengths_of, token_set


def members(ids: Tensor, vocab_size: int) -> Tensor:
    """Which tokens of the vocabulary are among `ids`: (N,) int64 -> (1, V) bool."""
    return token_set(ids[None], torch.ones_like(ids, dtype=torch.bool)[None], vocab_size)


def force(scores: Tensor, rows: Tensor, tokens: Tensor) -> Tensor:
    """In the `rows` leave `tokens` alone, each with the score 0, even if they were banned.

    (R, V) float, (R,) bool, (1, V) bool -> (R, V) of the dtype of `scores`. As ForcedBOSTokenLogitsProcessor and
    ForcedEOSTokenLogitsProcessor of transformers.
    """
    forced = torch.zeros_like(scores).masked_fill(~tokens, -inf)
    return torch.where(rows[:, None], forced, scores)


class SuppressTokens:
    """Bans tokens for good. As SuppressTokensLogitsProcessor of transformers, which ignores ids it does not know."""

    name = "suppress_tokens"

    def __init__(self, *, ids: Sequence[int]) -> None:
        self._ids = tuple(ids)
        self.ids = torch.tensor(self._ids, dtype=torch.int64)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """(R, T) int64, (R, V) float -> (R, V). Raises `InvalidInput` for ids outside the vocabulary."""
        return scores.masked_fill(self._banned(scores), -inf)

    def _banned(self, scores: Tensor) -> Tensor:
        """(R, V) -> (1, V) bool."""
        check_ids(self.name, self._ids, scores.shape[-1])
        self.ids = self.ids.to(scores.device)
        return members(self.ids, scores.shape[-1])


class BeginSuppressTokens(SuppressTokens):
    """Bans tokens in the first place of a row's own text: after the prompt, or at the length `begin_index`.

    With `after_forced_bos` a prompt of one token is followed by a forced first token, and the ban comes one later:
    the rule by which transformers' `generate` places it.
    """

    name = "begin_suppress_tokens"

    def __init__(
        self,
        *,
        ids: Sequence[int],
        begin_index: int | None = None,
        after_forced_bos: bool = False,
        prompt_lengths: Tensor,
    ) -> None:
        super().__init__(ids=ids)
        self.begin_index, self.after_forced_bos = begin_index, after_forced_bos
        self.prompt_lengths = prompt_lengths

    def __call__(
        self,
        input_ids: Tensor,
        scores: Tensor,
        *,
        lengths: Tensor | None = None,
        prompt_lengths: Tensor | None = None,
    ) -> Tensor:
        """(R, T) int64, (R, V) float, (R,) int64, (R,) int64 -> (R, V)."""
        begin = self.prompt_lengths if prompt_lengths is None else prompt_lengths
        if self.begin_index is not None:
            begin = torch.full_like(begin, self.begin_index)
        elif self.after_forced_bos:
            begin = begin + (begin <= 1)
        at_begin = lengths_of(input_ids, lengths) == begin
        return scores.masked_fill(at_begin[:, None] & self._banned(scores), -inf)


class ForcedBos:
    """Forces the second token of a row: the first that is generated after a prompt of one token."""

    def __init__(self, *, token_id: int) -> None:
        self.token_id = token_id

    def __call__(
        self,
        input_ids: Tensor,
        scores: Tensor,
        *,
        lengths: Tensor | None = None,
        prompt_lengths: Tensor | None = None,
    ) -> Tensor:
        """(R, T) int64, (R, V) float, (R,) int64, (R,) int64 -> (R, V)."""
        check_ids("forced_bos", [self.token_id], scores.shape[-1])
        tokens = torch.arange(scores.shape[-1], device=scores.device)[None] == self.token_id  # (V,) -> (1, V)
        return force(scores, lengths_of(input_ids, lengths) == 1, tokens)


class ForcedEos:
    """Forces a row's last token: the one before `max_length`, or before the length at which the stop rules end it.

    Raises `InvalidInput` where neither is known.
    """

    def __init__(
        self, *, token_ids: Sequence[int], max_length: int | None = None, limits: Tensor | None
    ) -> None:
        if max_length is None and limits is None:
            raise InvalidInput(
                "forced_eos: no stop rule limits the length, so no token is known to be the last",
                remedy="give it max_length, or the recipe the stop rule max_new_tokens",
            )
        self._ids, self.max_length, self.limits = tuple(token_ids), max_length, limits
        self.token_ids = torch.tensor(self._ids, dtype=torch.int64)

    def __call__(
        self,
        input_ids: Tensor,
        scores: Tensor,
        *,
        lengths: Tensor | None = None,
        prompt_lengths: Tensor | None = None,
    ) -> Tensor:
        """(R, T) int64, (R, V) float, (R,) int64, (R,) int64 -> (R, V)."""
        check_ids("forced_eos", self._ids, scores.shape[-1])
        self.token_ids = self.token_ids.to(scores.device)
        last: Tensor | int = self.limits if self.max_length is None else self.max_length  # type: ignore[assignment]
        rows = lengths_of(input_ids, lengths) == last - 1
        return force(scores, rows, members(self.token_ids, scores.shape[-1]))

    def select(self, rows: Tensor) -> None:
        """(R',) int64: the rows' own limits go with them."""
        self.limits = None if self.limits is None else self.limits[rows]
