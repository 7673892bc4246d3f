"""Rows that have reached a length."""

from __future__ import annotations

from torch import Tensor

from ..reference.rows import lengths_of


class MaxNewTokens:
    """Ends a row after so many tokens beyond its prompt."""

    def __init__(self, *, max_new_tokens: int, prompt_lengths: Tensor) -> None:
        self.max_new_tokens = max_new_tokens
        self.prompt_lengths = prompt_lengths

    def __call__(
        self,
        input_ids: Tensor,
        scores: Tensor,
        *,
        lengths: Tensor | None = None,
        prompt_lengths: Tensor | None = None,
    ) -> Tensor:
        """(R, T) int64, (R, V), (R,) int64, (R,) int64 -> (R,) bool."""
        prompt_lengths = self.prompt_lengths if prompt_lengths is None else prompt_lengths
        return lengths_of(input_ids, lengths) - prompt_lengths >= self.max_new_tokens

    def of_newest(self, tokens: Tensor, lengths: Tensor, prompt_lengths: Tensor) -> Tensor:
        """(R,) int64 each -> (R,) bool."""
        return lengths - prompt_lengths >= self.max_new_tokens

    def limit(self, prompt_lengths: Tensor) -> Tensor:
        """(R,) int64 -> (R,) int64, the greatest length a row can reach."""
        return prompt_lengths + self.max_new_tokens


class MaxLength:
    """Ends a row at so many tokens, prompt included."""

    def __init__(self, *, max_length: int) -> None:
        self.max_length = max_length

    def __call__(
        self,
        input_ids: Tensor,
        scores: Tensor,
        *,
        lengths: Tensor | None = None,
        prompt_lengths: Tensor | None = None,
    ) -> Tensor:
        """(R, T) int64, (R, V), (R,) int64, (R,) int64 -> (R,) bool."""
        return lengths_of(input_ids, lengths) >= self.max_length

    def of_newest(self, tokens: Tensor, lengths: Tensor, prompt_lengths: Tensor) -> Tensor:
        """(R,) int64 each -> (R,) bool."""
        return lengths >= self.max_length

    def limit(self, prompt_lengths: Tensor) -> Tensor:
        """(R,) int64 -> (R,) int64. A rule is asked after a token, so even a prompt too long grows by one."""
        return (prompt_lengths + 1).clamp(min=self.max_length)
