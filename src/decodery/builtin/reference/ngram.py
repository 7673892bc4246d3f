"""No n-gram twice."""

from __future__ import annotations

from math import inf

import torch
from torch import Tensor

from .rows import lengths_of, newest, token_set


def completes_ngram(input_ids: Tensor, lengths: Tensor, ngram_size: int, vocab_size: int) -> Tensor:
    """The tokens that would complete an n-gram the row already has.

    (R, T) int64 with T >= ngram_size, (R,) int64 -> (R, V) bool. Paulus, Xiong and Socher (2017),
    https://arxiv.org/abs/1705.04304.
    """
    windows = input_ids.unfold(1, ngram_size, 1)  # (R, T) -> (R, W, N)
    suffix = newest(input_ids, lengths, ngram_size - 1)  # (R, T) -> (R, N - 1)
    same = (windows[..., :-1] == suffix[:, None]).all(dim=-1)  # (R, W, N - 1) -> (R, W)
    # A row shorter than an n-gram has no whole window, so its meaningless suffix matches nothing that counts.
    end = torch.arange(ngram_size, input_ids.shape[1] + 1, device=input_ids.device)
    whole = end <= lengths[:, None]
    return token_set(windows[..., -1], same & whole, vocab_size)


class NoRepeatNgram:
    """`ngram_size` = 1 bans every token that occurred."""

    def __init__(self, *, ngram_size: int) -> None:
        self.ngram_size = ngram_size

    def __call__(
        self,
        input_ids: Tensor,
        scores: Tensor,
        *,
        lengths: Tensor | None = None,
        prompt_lengths: Tensor | None = None,
    ) -> Tensor:
        """(R, T) int64, (R, V) float, (R,) int64, (R,) int64 -> (R, V)."""
        if input_ids.shape[1] < self.ngram_size:
            return scores
        lengths = lengths_of(input_ids, lengths)
        banned = completes_ngram(input_ids, lengths, self.ngram_size, scores.shape[-1])
        return scores.masked_fill(banned, -inf)
