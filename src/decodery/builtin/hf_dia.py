"""The processors of Dia, an audio model whose rows are channels: `num_channels` rows of a batch stand together and
belong to one text. transformers' own classes, which write into the scores they are given."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..contracts.errors import InvalidInput
from .hf_library import hf_class, on_rectangles, one_eos
from .reference.rows import check_ids, lengths_of


def _check_channels(step: str, rows: int, channels: int) -> None:
    if rows % channels:
        raise InvalidInput(
            f"{step}: {rows} rows are no multiple of {channels} channels",
            remedy="lay a batch of B texts out as B * num_channels rows, the channels of a text side by side",
        )


class DiaEosChannelFilter:
    """The end comes in the first channel alone, and there either alone or not at all."""

    def __init__(self, *, num_channels: int, eos_token_id: int | None = None, eos: Sequence[int]) -> None:
        kind = hf_class("DiaEOSChannelFilterLogitsProcessor", "dia_eos_channel_filter")
        self.num_channels, self.eos_token_id = num_channels, eos_token_id
        self._eos = one_eos("dia_eos_channel_filter", eos_token_id, eos)
        self._processor = kind(num_channels, self._eos)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """(B x C, T) int64, (B x C, V) float -> (B x C, V)."""
        _check_channels("dia_eos_channel_filter", len(scores), self.num_channels)
        check_ids("dia_eos_channel_filter", [self._eos], scores.shape[-1])
        return self._processor(input_ids, scores.clone())  # type: ignore[no-any-return]


class DiaEosDelayPattern:
    """Once the first channel ends, or the text is nearly `max_generation_len` long, the others end after their delays.

    transformers' class moves its state in the call; here a call proposes the new state and `observe` takes it.
    """

    def __init__(
        self,
        *,
        delay_pattern: Sequence[int],
        eos_token_id: int | None = None,
        max_generation_len: int | None = None,
        eos: Sequence[int],
        limits: Tensor | None,
        prompt_lengths: Tensor,
    ) -> None:
        self._class = hf_class("DiaEOSDelayPatternLogitsProcessor", "dia_eos_delay_pattern")
        self.delay_pattern, self.eos_token_id = tuple(delay_pattern), eos_token_id
        self.max_generation_len = max_generation_len
        self._eos = one_eos("dia_eos_delay_pattern", eos_token_id, eos)
        if max_generation_len is None and limits is None:
            raise InvalidInput(
                "dia_eos_delay_pattern: no stop rule limits the length",
                remedy="give it max_generation_len, or the recipe the stop rule max_length",
            )
        self.limits = torch.full_like(prompt_lengths, max_generation_len or 0) if limits is None else limits
        if max_generation_len is not None:
            self.limits = torch.full_like(prompt_lengths, max_generation_len)
        _check_channels("dia_eos_delay_pattern", len(prompt_lengths), self._channels)
        # A text's states, one a token: whether it is ending, and each channel's delay that is left.
        delays = torch.tensor(self.delay_pattern, dtype=torch.int, device=prompt_lengths.device)
        going = torch.tensor(False, device=prompt_lengths.device)
        self._states = [[(going, delays)] for _ in range(len(prompt_lengths) // self._channels)]
        self._proposed: list[tuple[Tensor, Tensor]] | None = None

    @property
    def _channels(self) -> int:
        return len(self.delay_pattern)

    def __call__(
        self,
        input_ids: Tensor,
        scores: Tensor,
        *,
        lengths: Tensor | None = None,
        prompt_lengths: Tensor | None = None,
    ) -> Tensor:
        """(B x C, T) int64, (B x C, V) float, (B x C,) int64, (B x C,) int64 -> (B x C, V)."""
        check_ids("dia_eos_delay_pattern", [self._eos], scores.shape[-1])
        states = [past[-1] for past in self._states]
        proposed = list(states)

        def call(ids: Tensor, values: Tensor, limit: int, rows: list[int]) -> Tensor:
            texts = [row // self._channels for row in rows[:: self._channels]]
            _check_channels("dia_eos_delay_pattern", len(rows), self._channels)
            processor = self._class(self.delay_pattern, self._eos, limit, device=values.device)
            processor.active_batches = torch.stack([states[text][0] for text in texts])  # B x () -> (B,)
            processor.delay_pattern = torch.stack([states[text][1] for text in texts])  # B x (C,) -> (B, C)
            result: Tensor = processor(ids, values.clone())
            for text, ending, delays in zip(
                texts, processor.active_batches, processor.delay_pattern, strict=True
            ):
                proposed[text] = (ending, delays)
            return result

        result = on_rectangles(call, input_ids, scores, lengths_of(input_ids, lengths), self.limits)
        self._proposed = proposed
        return result

    def observe(self, tokens: Tensor, active: Tensor) -> None:
        """(B x C,) int64, (B x C,) bool."""
        proposed = self._proposed or [past[-1] for past in self._states]
        for past, state, on in zip(self._states, proposed, active[:: self._channels].tolist(), strict=True):
            if on:
                past.append(state)
        self._proposed = None

    def select(self, rows: Tensor) -> None:
        """(R',) int64, whole texts."""
        texts = (rows[:: self._channels] // self._channels).tolist()
        self._states = [list(self._states[text]) for text in texts]
        self.limits, self._proposed = self.limits[rows], None

    def rewind(self, counts: Tensor) -> None:
        """(B x C,) int64, the same for the channels of a text."""
        for past, count in zip(self._states, counts[:: self._channels].tolist(), strict=True):
            del past[len(past) - count :]
        self._proposed = None
