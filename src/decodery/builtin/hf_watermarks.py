"""The watermarks of transformers. What its classes remember is read off the row instead, so that rows may be
reordered, repeated and taken back."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from ..contracts.errors import InvalidInput
from .hf_library import hf_class, on_rectangles
from .reference.rows import lengths_of

CANDIDATES = 40
"""How many of the best tokens `selfhash` tries, in transformers' class."""


class Watermark:
    """A part of the vocabulary, green by a hash of the newest tokens, gets a bonus.

    Rows shorter than `context_width` are left alone. The class is built for the vocabulary and the device of the
    scores at hand.
    """

    def __init__(
        self,
        *,
        greenlist_ratio: float = 0.25,
        bias: float = 2.0,
        hashing_key: int = 15485863,
        seeding_scheme: Literal["lefthash", "selfhash"] = "lefthash",
        context_width: int = 1,
    ) -> None:
        self._class = hf_class("WatermarkLogitsProcessor", "watermark")
        self.greenlist_ratio, self.bias, self.hashing_key = greenlist_ratio, bias, hashing_key
        self.seeding_scheme, self.context_width = seeding_scheme, context_width
        self._made: tuple[int, torch.device, Any] | None = None

    def __call__(
        self,
        input_ids: Tensor,
        scores: Tensor,
        *,
        lengths: Tensor | None = None,
        prompt_lengths: Tensor | None = None,
    ) -> Tensor:
        """(R, T) int64, (R, V) float, (R,) int64, (R,) int64 -> (R, V)."""
        lengths = lengths_of(input_ids, lengths)
        marker = self._marker(scores.shape[-1], scores.device)

        def call(ids: Tensor, values: Tensor, prompt: int, rows: list[int]) -> Tensor:
            return values if ids.shape[1] < self.context_width else marker(ids, values)

        return on_rectangles(call, input_ids, scores, lengths, torch.zeros_like(lengths))

    def _marker(self, vocab_size: int, device: torch.device) -> Any:
        """transformers' object with a generator that no other thread seeds."""
        if self.seeding_scheme == "selfhash" and vocab_size < CANDIDATES:
            raise InvalidInput(
                f"watermark: selfhash tries the {CANDIDATES} best tokens, and the vocabulary has {vocab_size}",
                remedy="seeding_scheme: lefthash",
            )
        made = self._made
        if made is None or made[:2] != (vocab_size, device):
            built = self._class(
                vocab_size,
                device,
                self.greenlist_ratio,
                self.bias,
                self.hashing_key,
                self.seeding_scheme,
                self.context_width,
            )
            made = self._made = (vocab_size, device, built)
        marker = copy.copy(made[2])
        marker.rng = torch.Generator(device=device)
        accepted = marker._score_rejection_sampling
        # Where no candidate is green the class makes an index of floats, and fails.
        marker._score_rejection_sampling = lambda ids, values: accepted(ids, values).long()
        return marker


class SynthidWatermark:
    """Google DeepMind's tournament of hashes, as SynthIDTextWatermarkLogitsProcessor of transformers plays it.

    That class keeps the contexts it has seen. They follow from the row's new tokens, so they are computed anew here,
    `context_history_size` of them at most.
    """

    def __init__(
        self,
        *,
        keys: Sequence[int],
        ngram_len: int = 5,
        context_history_size: int = 1024,
        sampling_table_seed: int = 0,
        sampling_table_size: int = 2**16,
        skip_first_ngram_calls: bool = False,
        debug_mode: bool = False,
        prompt_lengths: Tensor,
    ) -> None:
        self._class = hf_class("SynthIDTextWatermarkLogitsProcessor", "synthid_watermark")
        self._state_class = hf_class("SynthIDTextWatermarkState", "synthid_watermark")
        self.keys, self.ngram_len, self.context_history_size = tuple(keys), ngram_len, context_history_size
        self.sampling_table_seed, self.sampling_table_size = sampling_table_seed, sampling_table_size
        self.skip_first_ngram_calls, self.debug_mode = skip_first_ngram_calls, debug_mode
        self.prompt_lengths = prompt_lengths
        self._made: tuple[torch.device, Any] | None = None

    def __call__(
        self,
        input_ids: Tensor,
        scores: Tensor,
        *,
        lengths: Tensor | None = None,
        prompt_lengths: Tensor | None = None,
    ) -> Tensor:
        """(R, T) int64, (R, V) float, (R,) int64, (R,) int64 -> (R, V)."""
        lengths = lengths_of(input_ids, lengths)
        prompts = (self.prompt_lengths if prompt_lengths is None else prompt_lengths).expand_as(lengths)
        made = self._processor(scores.device)

        def call(ids: Tensor, values: Tensor, prompt: int, rows: list[int]) -> Tensor:
            processor = copy.copy(made)
            processor.state = self._state(processor, ids[:, prompt:])
            return processor(ids, values)  # type: ignore[no-any-return]

        return on_rectangles(call, input_ids, scores, lengths, prompts)

    def _processor(self, device: torch.device) -> Any:
        made = self._made
        if made is None or made[0] != device:
            built = self._class(
                ngram_len=self.ngram_len,
                keys=list(self.keys),
                sampling_table_size=self.sampling_table_size,
                sampling_table_seed=self.sampling_table_seed,
                context_history_size=self.context_history_size,
                device=device,
                skip_first_ngram_calls=self.skip_first_ngram_calls,
                debug_mode=self.debug_mode,
            )
            made = self._made = (device, built)
        return made[1]

    def _state(self, processor: Any, generated: Tensor) -> Any:
        """What the class would remember before this call: (G, K) int64 new tokens; None before the first."""
        rows, calls = generated.shape
        if calls == 0:
            return None
        width = self.ngram_len - 1
        state = self._state_class(rows, self.ngram_len, self.context_history_size, generated.device)
        # Call k saw the `width` tokens before it; zeros stand before the first.
        text = torch.cat((state.context, generated[:, :-1]), dim=1)  # (G, K - 1 + width)
        state.context, state.num_calls = text[:, -width:], calls
        first = max(width if self.skip_first_ngram_calls else 0, calls - self.context_history_size)
        if first < calls:
            contexts = text.unfold(1, width, 1)[:, first:]  # -> (G, K) contexts -> (G, S, width)
            start = torch.ones(contexts.shape[:2], dtype=torch.int64, device=generated.device)
            hashes = processor.accumulate_hash(start, contexts).flip(
                1
            )  # newest first, as the class keeps them
            state.context_history[:, : hashes.shape[1]] = hashes
        return state
