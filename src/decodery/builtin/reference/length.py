"""The end of a text held back or called for: minimum lengths, and a bonus that grows."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

import torch
from torch import Tensor

from .rows import lengths_of
from .tokens import members


def ban_eos(scores: Tensor, early: Tensor, eos: Tensor) -> Tensor:
    """Ban the tokens `eos` in the rows that are `early`: (R, V) float, (R,) bool, (E,) int64 -> (R, V).

    Ids outside the vocabulary are ignored. As MinNewTokensLengthLogitsProcessor of transformers.
    """
    return scores.masked_fill(early[:, None] & members(eos, scores.shape[-1]), -inf)


def exponential_decay(scores: Tensor, steps: Tensor, eos: Tensor, factor: float) -> Tensor:
    """Raise the scores of `eos` by `|score| * (factor ** steps - 1)`, in rows whose `steps` are greater than 0.

    (R, V) float, (R,) int64, (E,) int64 -> (R, V) of the dtype of `scores`. A banned token stays banned. As
    ExponentialDecayLengthPenalty of transformers, but where a bonus is past every number its token gets the greatest
    one: transformers' infinity wins a greedy choice too, and nothing can be drawn from it.
    """
    # Multiplied in float32 at least, as torch multiplies half precision by a number.
    wide = scores if scores.dtype in (torch.float32, torch.float64) else scores.float()
    growth = torch.pow(factor, steps.double()) - 1  # (R,) float64, as a Python number would be
    growth = growth.clamp(max=torch.finfo(wide.dtype).max)[:, None].to(wide.dtype)  # (R,) -> (R, 1)
    bonus = (wide.abs() * growth).to(scores.dtype)
    due = (steps > 0)[:, None] & members(eos, scores.shape[-1]) & scores.isfinite()
    return torch.where(due, (scores + bonus).clamp(max=torch.finfo(scores.dtype).max), scores)


class MinNewTokens:
    """`min_new_tokens` = 0 changes nothing, nor does a model without an end-of-sequence token."""

    def __init__(self, *, min_new_tokens: int, eos: Sequence[int], prompt_lengths: Tensor) -> None:
        self.min_new_tokens = min_new_tokens
        self.prompt_lengths = prompt_lengths
        self.eos = torch.tensor(list(eos), dtype=torch.int64)

    def __call__(
        self,
        input_ids: Tensor,
        scores: Tensor,
        *,
        lengths: Tensor | None = None,
        prompt_lengths: Tensor | None = None,
    ) -> Tensor:
        """(R, T) int64, (R, V) float, (R,) int64, (R,) int64 -> (R, V)."""
        if self.min_new_tokens == 0 or self.eos.numel() == 0:
            return scores
        self.eos = self.eos.to(scores.device)
        prompt_lengths = self.prompt_lengths if prompt_lengths is None else prompt_lengths
        new_tokens = lengths_of(input_ids, lengths) - prompt_lengths
        return ban_eos(scores, new_tokens < self.min_new_tokens, self.eos)


class MinLength:
    """Like `MinNewTokens`, with the prompt counted in. As MinLengthLogitsProcessor of transformers."""

    def __init__(self, *, min_length: int, eos: Sequence[int]) -> None:
        self.min_length = min_length
        self.eos = torch.tensor(list(eos), dtype=torch.int64)

    def __call__(
        self,
        input_ids: Tensor,
        scores: Tensor,
        *,
        lengths: Tensor | None = None,
        prompt_lengths: Tensor | None = None,
    ) -> Tensor:
        """(R, T) int64, (R, V) float, (R,) int64, (R,) int64 -> (R, V)."""
        if self.min_length == 0 or self.eos.numel() == 0:
            return scores
        self.eos = self.eos.to(scores.device)
        return ban_eos(scores, lengths_of(input_ids, lengths) < self.min_length, self.eos)


class ExponentialDecayLengthPenalty:
    """`decay` is (start, factor): past `start` new tokens the end is favoured, by a factor more at each token.

    A factor of 1 changes nothing, nor does a model without an end-of-sequence token.
    """

    def __init__(self, *, decay: tuple[int, float], eos: Sequence[int], prompt_lengths: Tensor) -> None:
        self.decay, self.prompt_lengths = decay, prompt_lengths
        self.eos = torch.tensor(list(eos), dtype=torch.int64)

    def __call__(
        self,
        input_ids: Tensor,
        scores: Tensor,
        *,
        lengths: Tensor | None = None,
        prompt_lengths: Tensor | None = None,
    ) -> Tensor:
        """(R, T) int64, (R, V) float, (R,) int64, (R,) int64 -> (R, V)."""
        start, factor = self.decay
        if factor == 1 or self.eos.numel() == 0:
            return scores
        self.eos = self.eos.to(scores.device)
        prompt_lengths = self.prompt_lengths if prompt_lengths is None else prompt_lengths
        steps = lengths_of(input_ids, lengths) - prompt_lengths - start
        return exponential_decay(scores, steps, self.eos, factor)
