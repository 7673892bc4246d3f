"""Steps that look at what the encoder was given: its tokens favoured, its n-grams banned.

`encoder_ids` (R, S) int64 are right-padded, `encoder_lengths` (R,) int64 says how many are a row's own; None: all,
as in transformers' own layout, whose pads count like any token.
"""

from __future__ import annotations

from math import inf

import torch
from torch import Tensor

from .repetition import repetition_penalty
from .rows import lengths_of, newest, token_set


class _WithEncoder:
    """The encoder's ids, a row each; they follow their rows."""

    def __init__(self, encoder_ids: Tensor, encoder_lengths: Tensor | None) -> None:
        self.encoder_ids = encoder_ids
        self.encoder_lengths = lengths_of(encoder_ids, encoder_lengths)

    def select(self, rows: Tensor) -> None:
        """(R',) int64."""
        self.encoder_ids, self.encoder_lengths = self.encoder_ids[rows], self.encoder_lengths[rows]


class EncoderRepetitionPenalty(_WithEncoder):
    """`penalty` above 1 makes the encoder's tokens likelier, below 1 less likely; 1 changes nothing.

    The formula is `repetition_penalty`'s with 1 / penalty: EncoderRepetitionPenaltyLogitsProcessor's of transformers.
    """

    def __init__(self, *, penalty: float, encoder_ids: Tensor, encoder_lengths: Tensor | None) -> None:
        super().__init__(encoder_ids, encoder_lengths)
        self.penalty = penalty

    def __call__(
        self,
        input_ids: Tensor,
        scores: Tensor,
        *,
        lengths: Tensor | None = None,
        prompt_lengths: Tensor | None = None,
    ) -> Tensor:
        """(R, T) int64, (R, V) float, (R,) int64, (R,) int64 -> (R, V)."""
        if self.penalty == 1:
            return scores
        slot = torch.arange(self.encoder_ids.shape[1], device=scores.device)  # (S,)
        own = slot < self.encoder_lengths[:, None]  # (S,), (R, 1) -> (R, S)
        return repetition_penalty(
            scores, token_set(self.encoder_ids, own, scores.shape[-1]), 1 / self.penalty
        )


class EncoderNoRepeatNgram(_WithEncoder):
    """Bans tokens that would complete an n-gram of the encoder's text; `ngram_size` = 1 bans all of its tokens.

    As EncoderNoRepeatNGramLogitsProcessor of transformers.
    """

    def __init__(self, *, ngram_size: int, encoder_ids: Tensor, encoder_lengths: Tensor | None) -> None:
        super().__init__(encoder_ids, encoder_lengths)
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
        if self.encoder_ids.shape[1] < self.ngram_size:
            return scores
        lengths = lengths_of(input_ids, lengths)
        windows = self.encoder_ids.unfold(1, self.ngram_size, 1)  # (R, S) -> (R, W, N)
        suffix = newest(input_ids, lengths, self.ngram_size - 1)  # (R, T) -> (R, N - 1)
        same = (windows[..., :-1] == suffix[:, None]).all(dim=-1)  # (R, W, N - 1) -> (R, W)
        end = torch.arange(self.ngram_size, self.encoder_ids.shape[1] + 1, device=scores.device)
        whole = (end <= self.encoder_lengths[:, None]) & (lengths[:, None] >= self.ngram_size - 1)
        return scores.masked_fill(token_set(windows[..., -1], same & whole, scores.shape[-1]), -inf)
