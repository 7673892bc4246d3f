"""The encoder's prompts: padded as they came for transformers' layout, else padded anew on the right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ...contracts.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class EncoderPrompts:
    """rows  each prompt's own ids, without padding
    ids   (P, S) int64, the rectangle that the encoder reads
    mask  (P, S) int64, 0 on padding; None where nothing is hidden
    """

    rows: Sequence[Sequence[int]]
    ids: Tensor
    mask: Tensor | None

    def lengths(self, n: int) -> list[int]:
        """Each prompt's own number of ids, n times."""
        return [len(row) for row in self.rows for _ in range(n)]


def encoder_prompts(
    prompts: Sequence[Sequence[int]],
    mask: Any,
    *,
    eos: Sequence[int],
    pad: int | None,
    rectangle: bool,
    left: bool = False,
) -> EncoderPrompts:
    """Prompts as ids -> what the encoder reads.

    `mask` (P, S) says which of the ids are padding; without it those are the pad ids, as transformers reads
    them, unless the pad id also ends a text. With `rectangle` prompts of one length stay as they came, and
    others are padded on the right, or on the `left`; otherwise padding is taken out first, so that a row is the
    row alone.
    """
    if mask is not None:
        seen = mask_rows(prompts, mask)
    else:
        readable = pad is not None and pad not in eos
        seen = [[not readable or token != pad for token in prompt] for prompt in prompts]
    rows = [[t for t, kept in zip(*pair, strict=True) if kept] for pair in zip(prompts, seen, strict=True)]
    for row, ids in enumerate(rows):
        if not ids:
            raise InvalidInput(f"prompt {row} is nothing but padding", remedy="give it at least one token")
    shown, masks = (prompts, seen) if rectangle else (rows, [[True] * len(row) for row in rows])
    width, filler = max(map(len, shown)), pad if pad is not None else 0
    padded = [_filled(row, width, filler, left) for row in shown]
    hidden = [_filled(row, width, False, left) for row in masks]
    return EncoderPrompts(
        rows,
        torch.tensor(padded, dtype=torch.int64),
        torch.tensor(hidden, dtype=torch.int64) if any(False in row for row in hidden) else None,
    )


def _filled(row: Sequence[int], width: int, filler: int, left: bool) -> list[int]:
    missing = [filler] * (width - len(row))
    return [*missing, *row] if left else [*row, *missing]


def mask_rows(prompts: Sequence[Sequence[int]], mask: Any) -> list[list[bool]]:
    """`attention_mask` as rows of truths. Raises `InvalidInput` where it does not fit the prompts."""
    rows = mask.tolist() if hasattr(mask, "tolist") else mask
    if isinstance(rows, (list, tuple)) and rows and not isinstance(rows[0], (list, tuple)):
        rows = [rows]
    lengths = [len(prompt) for prompt in prompts]
    if not isinstance(rows, (list, tuple)) or [len(row) for row in rows] != lengths:
        shape = tuple(mask.shape) if hasattr(mask, "shape") else type(mask).__name__
        raise InvalidInput(
            f"attention_mask is {shape}, the prompts have {lengths} tokens",
            remedy="give the tokenizer's own input_ids and attention_mask together",
        )
    return [[bool(value) for value in row] for row in rows]
