"""Presence and frequency penalties: a number off for a token that occurred, and for each time it did."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from ..rows.lengths import lengths_of

Scope = Literal["output", "all", "prompt"]


def slot_weights(
    input_ids: Tensor,
    lengths: Tensor,
    prompt_lengths: Tensor,
    *,
    scope: Scope = "output",
    window: int | None = None,
    decay_range: int = 0,
    padding: Tensor | None = None,
) -> Tensor:
    """How much each slot counts: 1 inside, 0 outside: (R, T) int64, (R,) int64, (R,) int64 -> (R, T) float64.

    Inside is the part of the text that `scope` names, and of it the newest `window` tokens of the whole text. Behind
    the window the weight falls from 1 to 0 in a line over `decay_range` tokens (exllamav2). `padding` (R,) int64: pads
    that begin the rows in transformers' own layout; they are nobody's.
    """
    slot = torch.arange(input_ids.shape[1], device=input_ids.device)  # (T,)
    counted = slot < lengths[:, None]
    if padding is not None:
        counted &= slot >= padding[:, None]
    if scope != "all":
        in_prompt = slot < prompt_lengths[:, None]
        counted &= in_prompt if scope == "prompt" else ~in_prompt
    if window is None:
        return counted.double()
    behind = (lengths[:, None] - window - slot).clamp(min=0).double()  # 0 in the window, then 1, 2 ...
    return counted * (1 - behind / (decay_range + 1)).clamp(min=0.0)


def occurrences(input_ids: Tensor, weights: Tensor, vocab_size: int) -> tuple[Tensor, Tensor]:
    """The greatest weight and the sum of weights of every token: (R, T) int64, (R, T) -> 2 x (R, V) float64.

    Ids outside the vocabulary are nobody's: an embedding may be larger than the output layer.
    """
    known = (input_ids >= 0) & (input_ids < vocab_size)
    column = torch.where(known & (weights > 0), input_ids, vocab_size)  # a spare one for what does not count
    none = weights.new_zeros((len(input_ids), vocab_size + 1))
    greatest = none.scatter_reduce(1, column, weights, "amax")
    return greatest[:, :vocab_size], none.scatter_add(1, column, weights)[:, :vocab_size]


def presence_penalty(scores: Tensor, greatest: Tensor, penalty: float) -> Tensor:
    """`x[t] -= penalty` for tokens that occurred: (R, V) float, (R, V) float64 -> (R, V), dtype of the scores.

    https://platform.openai.com/docs/api-reference/completions/create. In the dtype of the scores, as an edit is added:
    fused or not, the numbers are the same.
    """
    return scores + greatest.to(scores.dtype) * -penalty


def frequency_penalty(scores: Tensor, count: Tensor, penalty: float) -> Tensor:
    """`x[t] -= penalty * count(t)`: (R, V) float, (R, V) float64 -> (R, V), dtype of the scores."""
    return scores + count.to(scores.dtype) * -penalty


class PresencePenalty:
    """`penalty` = 0 changes nothing; less than 0 invites repetition."""

    def __init__(
        self,
        *,
        penalty: float,
        prompt_lengths: Tensor,
        window: int | None = None,
        scope: Scope = "output",
        decay_range: int = 0,
        padding: Tensor | None = None,
    ) -> None:
        self.penalty, self.window, self.decay_range = penalty, window, decay_range
        self.scope: Scope = scope
        self.prompt_lengths, self.padding = prompt_lengths, padding

    def __call__(
        self,
        input_ids: Tensor,
        scores: Tensor,
        *,
        lengths: Tensor | None = None,
        prompt_lengths: Tensor | None = None,
    ) -> Tensor:
        """(R, T) int64, (R, V) float, (R,) int64, (R,) int64 -> (R, V)."""
        if self.penalty == 0:
            return scores
        weights = slot_weights(
            input_ids,
            lengths_of(input_ids, lengths),
            self.prompt_lengths if prompt_lengths is None else prompt_lengths,
            scope=self.scope,
            window=self.window,
            decay_range=self.decay_range,
            padding=self.padding,
        )
        greatest, count = occurrences(input_ids, weights, scores.shape[-1])
        return self._penalised(scores, greatest, count)

    def _penalised(self, scores: Tensor, greatest: Tensor, count: Tensor) -> Tensor:
        return presence_penalty(scores, greatest, self.penalty)

    def select(self, rows: Tensor) -> None:
        """(R',) int64: the rows' own padding goes with them."""
        self.padding = None if self.padding is None else self.padding[rows]


class FrequencyPenalty(PresencePenalty):
    """The same for every time a token occurred."""

    def _penalised(self, scores: Tensor, greatest: Tensor, count: Tensor) -> Tensor:
        return frequency_penalty(scores, count, self.penalty)
