"""Processors that are transformers' own classes, kept from what makes them unsafe: state that lives in the call,
a batch, a vocabulary or a device that is fixed when they are built, writing into their arguments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from ..contracts.errors import InvalidInput
from .hf_library import hf_class, on_rectangles, one_eos
from .reference.rows import check_ids, lengths_of


class PrefixAllowedTokens:
    """Only the tokens that `fn(prompt_index, ids (T,)) -> list of ids` allows; each row asks for itself.

    Where all of them are banned the allowed ones come back, as in transformers.
    """

    def __init__(self, *, fn: Callable[[int, Tensor], Any], prompt_index: Tensor) -> None:
        self._class = hf_class("PrefixConstrainedLogitsProcessor", "prefix_allowed_tokens")
        self.fn, self.prompt_index = fn, prompt_index

    def __call__(
        self,
        input_ids: Tensor,
        scores: Tensor,
        *,
        lengths: Tensor | None = None,
        prompt_lengths: Tensor | None = None,
    ) -> Tensor:
        """(R, T) int64, (R, V) float, (R,) int64, (R,) int64 -> (R, V). Raises `InvalidInput` for ids that the
        vocabulary has not, and when nothing is allowed."""
        lengths = lengths_of(input_ids, lengths)
        prompts: list[int] = self.prompt_index.tolist()
        vocab_size = scores.shape[-1]

        def call(ids: Tensor, values: Tensor, prompt: int, rows: list[int]) -> Tensor:
            asked = self._class(lambda place, row: self._allowed(prompts[rows[place]], row, vocab_size), 1)
            return asked(ids, values)  # type: ignore[no-any-return]

        return on_rectangles(call, input_ids, scores, lengths, torch.zeros_like(lengths))

    def select(self, rows: Tensor) -> None:
        """(R',) int64."""
        self.prompt_index = self.prompt_index[rows]

    def _allowed(self, prompt: int, row: Tensor, vocab_size: int) -> list[int]:
        answer = self.fn(prompt, row)
        allowed: list[int] = answer.tolist() if isinstance(answer, Tensor) else list(answer)
        if not allowed:
            raise InvalidInput(
                f"prefix_allowed_tokens: nothing is allowed after {row.tolist()[-8:]} in prompt {prompt}",
                remedy="allow at least one token, the end-of-sequence token if the text is complete",
            )
        check_ids("prefix_allowed_tokens", allowed, vocab_size)
        return allowed


class WhisperTimestamps:
    """Timestamps in pairs, in order, and first; `begin_index` is the length of the prompt unless given."""

    def __init__(
        self,
        *,
        no_timestamps_token_id: int,
        begin_index: int | None = None,
        max_initial_timestamp_index: int | None = None,
        detect_from_logprob: bool = True,
        eos: Sequence[int],
        prompt_lengths: Tensor,
    ) -> None:
        self._class = hf_class("WhisperTimeStampLogitsProcessor", "whisper_timestamps")
        self.no_timestamps_token_id, self.begin_index = no_timestamps_token_id, begin_index
        self.max_initial_timestamp_index = max_initial_timestamp_index
        self.detect_from_logprob, self.prompt_lengths = detect_from_logprob, prompt_lengths
        self._config = SimpleNamespace(
            no_timestamps_token_id=no_timestamps_token_id,
            eos_token_id=one_eos("whisper_timestamps", None, eos),
            bos_token_id=None,
            max_initial_timestamp_index=max_initial_timestamp_index,
        )

    def __call__(
        self,
        input_ids: Tensor,
        scores: Tensor,
        *,
        lengths: Tensor | None = None,
        prompt_lengths: Tensor | None = None,
    ) -> Tensor:
        """(R, T) int64, (R, V) float, (R,) int64, (R,) int64 -> (R, V)."""
        # A timestamp follows the token that says there are none.
        check_ids("whisper_timestamps", [self.no_timestamps_token_id + 1], scores.shape[-1])
        lengths = lengths_of(input_ids, lengths)
        prompts = (self.prompt_lengths if prompt_lengths is None else prompt_lengths).expand_as(lengths)

        def call(ids: Tensor, values: Tensor, prompt: int, rows: list[int]) -> Tensor:
            begin = prompt if self.begin_index is None else self.begin_index
            return self._class(self._config, begin, self.detect_from_logprob)(ids, values)  # type: ignore[no-any-return]

        return on_rectangles(call, input_ids, scores, lengths, prompts)


class BarkEosPrioritizer:
    """Only the end is left where it is likelier than `min_eos_p`."""

    def __init__(self, *, min_eos_p: float, eos: Sequence[int]) -> None:
        self._class = hf_class("BarkEosPrioritizerLogitsProcessor", "bark_eos_prioritizer")
        self.min_eos_p, self.eos = min_eos_p, tuple(eos)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """(R, T) int64, (R, V) float -> (R, V). Without an end-of-sequence token nothing changes."""
        if not self.eos:
            return scores
        check_ids("bark_eos_prioritizer", self.eos, scores.shape[-1])
        return self._class(list(self.eos), self.min_eos_p, device=scores.device)(input_ids, scores)  # type: ignore[no-any-return]


class AlternatingCodebooks:
    """The tokens of the first codebook and of the others by turns, from the end of the prompt on."""

    def __init__(self, *, semantic_vocab_size: int, codebook_size: int, prompt_lengths: Tensor) -> None:
        self._class = hf_class("AlternatingCodebooksLogitsProcessor", "alternating_codebooks")
        self.semantic_vocab_size, self.codebook_size = semantic_vocab_size, codebook_size
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
        # The first token of the second codebook.
        check_ids("alternating_codebooks", [self.semantic_vocab_size + self.codebook_size], scores.shape[-1])
        lengths = lengths_of(input_ids, lengths)
        prompts = (self.prompt_lengths if prompt_lengths is None else prompt_lengths).expand_as(lengths)

        def call(ids: Tensor, values: Tensor, prompt: int, rows: list[int]) -> Tensor:
            return self._class(prompt, self.semantic_vocab_size, self.codebook_size)(ids, values)  # type: ignore[no-any-return]

        return on_rectangles(call, input_ids, scores, lengths, prompts)
