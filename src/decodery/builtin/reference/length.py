"""Lower bounds on length: no end before its time."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

import torch
from torch import Tensor

from .rows import lengths_of, token_set


def ban_eos(scores: Tensor, early: Tensor, eos: Tensor) -> Tensor:
    """Ban the tokens `eos` in the rows that are `early`: (R, V) float, (R,) bool, (E,) int64 -> (R, V).

    Ids outside the vocabulary are ignored. As MinNewTokensLengthLogitsProcessor of transformers.
    """
    every = torch.ones_like(eos, dtype=torch.bool)
    ends = token_set(eos[None], every[None], scores.shape[-1])  # (1, E) -> (1, V)
    return scores.masked_fill(early[:, None] & ends, -inf)


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
