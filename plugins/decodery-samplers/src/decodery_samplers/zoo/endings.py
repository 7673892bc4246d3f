"""Two steps of logits-processor-zoo (Apache-2.0, NVIDIA) that bring the end nearer: with length, and with time."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from decodery.contracts.protocols import Tokenizer

from ..penalties.forced_tokens import forced
from ..rows.lengths import lengths_of
from ..text.tokens import TokenOrText, token_ids, vocabulary

SENTENCE_ENDS = (".", "!", "?", "\n")


def length_boost(length: Tensor, factor: float, power: float) -> Tensor:
    """`factor * (length / 10)**power`: (R,) int64 -> (R,) float64."""
    return factor * (length.double() / 10) ** power


class _Ending:
    """What both have in common: which tokens end a text, and where a row may end."""

    def __init__(
        self,
        owner: str,
        tokenizer: Tokenizer,
        eos: Sequence[int],
        complete_sentences: bool,
        token: Sequence[TokenOrText],
        prompt_lengths: Tensor,
    ) -> None:
        self.prompt_lengths = prompt_lengths
        self.ends = torch.tensor(sorted(token_ids(token, tokenizer, owner) or set(eos)), dtype=torch.int64)
        words = vocabulary(tokenizer)
        sentence = [
            place for place, text in enumerate(words.texts) if text.rstrip(" ").endswith(SENTENCE_ENDS)
        ]
        self.sentences = torch.tensor(sentence, dtype=torch.int64) if complete_sentences else None

    def _may_end(self, input_ids: Tensor, lengths: Tensor, prompt_lengths: Tensor) -> Tensor:
        """(R,) bool: no end was written yet, and the newest token ends a sentence where that is asked for."""
        ends = self.ends.to(input_ids.device)
        slot = torch.arange(input_ids.shape[1], device=input_ids.device)
        generated = (slot >= prompt_lengths[:, None]) & (slot < lengths[:, None])  # (R, T)
        open_ = ~(generated & torch.isin(input_ids, ends)).any(dim=-1)
        if self.sentences is None:
            return open_
        newest = input_ids.gather(1, (lengths[:, None] - 1).clamp(min=0)).squeeze(1)  # (R, T) -> (R,)
        return open_ & torch.isin(newest, self.sentences.to(input_ids.device))

    def _known(self, scores: Tensor) -> Tensor:
        ends = self.ends.to(scores.device)
        return ends[ends < scores.shape[-1]]


class GenLength(_Ending):
    """`factor * (length / 10)**power` is added to the end of the text, or to `token`, which may come once; with
    `complete_sentences` only after a sentence. GenLengthLogitsProcessor."""

    def __init__(
        self,
        *,
        factor: float,
        tokenizer: Tokenizer,
        eos: Sequence[int],
        prompt_lengths: Tensor,
        power: float = 2.0,
        complete_sentences: bool = False,
        token: Sequence[TokenOrText] = (),
    ) -> None:
        super().__init__("gen_length: token", tokenizer, eos, complete_sentences, token, prompt_lengths)
        self.factor, self.power = factor, power

    def __call__(
        self,
        input_ids: Tensor,
        scores: Tensor,
        *,
        lengths: Tensor | None = None,
        prompt_lengths: Tensor | None = None,
    ) -> Tensor:
        """(R, T) int64, (R, V) float, (R,) int64, (R,) int64 -> (R, V)."""
        if self.factor == 0:
            return scores
        lengths = lengths_of(input_ids, lengths)
        prompt_lengths = self.prompt_lengths if prompt_lengths is None else prompt_lengths
        boost = length_boost(lengths - prompt_lengths, self.factor, self.power)
        boost = boost * self._may_end(input_ids, lengths, prompt_lengths)
        ends = self._known(scores)
        added = boost.to(scores.dtype).unsqueeze(-1).expand(-1, len(ends))  # (R,) -> (R, E)
        return scores.index_add(1, ends, added)


class MaxTimeEos(_Ending):
    """After `max_time` seconds the end of the text, or `token`, is the only token; with `complete_sentences` as soon
    as a sentence ends. MaxTimeLogitsProcessor."""

    def __init__(
        self,
        *,
        max_time: float,
        tokenizer: Tokenizer,
        eos: Sequence[int],
        prompt_lengths: Tensor,
        complete_sentences: bool = False,
        token: Sequence[TokenOrText] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__("max_time_eos: token", tokenizer, eos, complete_sentences, token, prompt_lengths)
        self.max_time, self._clock, self._start = max_time, clock, clock()

    def __call__(
        self,
        input_ids: Tensor,
        scores: Tensor,
        *,
        lengths: Tensor | None = None,
        prompt_lengths: Tensor | None = None,
    ) -> Tensor:
        """(R, T) int64, (R, V) float, (R,) int64, (R,) int64 -> (R, V)."""
        ends = self._known(scores)
        if not len(ends) or self._clock() - self._start <= self.max_time:
            return scores
        lengths = lengths_of(input_ids, lengths)
        prompt_lengths = self.prompt_lengths if prompt_lengths is None else prompt_lengths
        now = self._may_end(input_ids, lengths, prompt_lengths)
        best = ends[scores[:, ends].argmax(dim=-1)]  # (R, V) -> (R, E) -> (R,)
        return forced(scores, best, now)

    # The clock is no row's: whatever happens to the rows, there is nothing to follow.

    def observe(self, tokens: Tensor, active: Tensor) -> None:
        """(R,) int64, (R,) bool."""

    def select(self, rows: Tensor) -> None:
        """(R',) int64."""

    def rewind(self, counts: Tensor) -> None:
        """(R,) int64."""
