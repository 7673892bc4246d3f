"""transformers' left-padded rectangle, as steps are shown it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ...contracts.errors import InvalidInput
from ..own_loop.unbound import whole_view
from ..steps.apply import View


def as_mask(name: str, mask: Any) -> Tensor:
    """(B, T) of 0 on padding and 1, as it is. Raises `InvalidInput` for anything else."""
    if not isinstance(mask, Tensor) or mask.ndim != 2:
        found = tuple(mask.shape) if isinstance(mask, Tensor) else type(mask).__name__
        raise InvalidInput(f"{name} is {found}", remedy="give the tokenizer's, a tensor (B, T)")
    return mask


def mask_pads(mask: Any) -> list[int]:
    """(B, T) of 0 on padding and 1 -> how many pads begin each row. Raises `InvalidInput` for other padding."""
    seen = as_mask("attention_mask", mask) != 0
    pads = (~seen).sum(1)  # (B, T) -> (B,)
    places = torch.arange(mask.shape[1], device=mask.device)
    if not torch.equal(seen, places >= pads.unsqueeze(1)) or bool((pads == mask.shape[1]).any()):
        raise InvalidInput(
            "attention_mask hides something else than the beginning of rows",
            remedy="pad on the left: tokenizer.padding_side = 'left'",
        )
    return pads.tolist()  # type: ignore[no-any-return]


def leading(ids: Tensor, pad: int) -> list[int]:
    """(R, T) int64 -> how many pad ids begin each row; 0 in a row that is nothing else."""
    count = (ids == pad).int().cumprod(1).sum(1)  # (R, T) -> (R,)
    return count.masked_fill(count == ids.shape[1], 0).tolist()  # type: ignore[no-any-return]


def row_view(ids: Tensor, pads: Sequence[int], prompt: int) -> View:
    """(R, T) int64, left-padded -> every row active, right-padded, its pads gone. `prompt` columns are prompt."""
    if not any(pads):
        return whole_view(ids, prompt)
    width = ids.shape[1]
    shift = torch.tensor(list(pads), device=ids.device)
    at = torch.arange(width, device=ids.device) + shift.unsqueeze(1)  # (T,) + (R, 1) -> (R, T)
    moved = ids.gather(1, at.clamp(max=width - 1)).masked_fill(at >= width, 0)
    lengths = width - shift
    return View(moved, lengths, prompt - shift, [width - pad for pad in pads], range(len(ids)))
