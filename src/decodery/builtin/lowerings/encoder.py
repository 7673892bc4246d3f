"""Tokens of the encoder's text."""

from __future__ import annotations

import torch
from torch import Tensor


class EncoderTokens:
    """The same number for each token of a row's encoder ids (R, S) int64; `lengths` (R,) int64 says how many count."""

    def __init__(self, encoder_ids: Tensor, lengths: Tensor | None, value: float) -> None:
        slots = torch.arange(encoder_ids.shape[1])
        counted = slots < encoder_ids.shape[1] if lengths is None else slots < lengths.unsqueeze(1)
        self._ids = encoder_ids.masked_fill(~counted, -1)
        self._values = torch.tensor([[value]])

    def select(self, rows: Tensor) -> None:
        """(R',) int64."""
        self._ids = self._ids[rows]

    def edits(self, ids: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """(R, S) int64, (1, 1) float32."""
        return self._ids, self._values
