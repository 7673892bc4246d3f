"""Causal masks in the forms that models with caches ask for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

NAMES = ("mask", "attn_mask", "attention_mask", "causal_mask", "block_mask")


def mask_named(accepted: frozenset[str]) -> str:
    """The argument that takes a mask, "" if there is none."""
    return next((name for name in NAMES if name in accepted), "")


def _seen(start: int, count: int, size: int, device: torch.device) -> Tensor:
    """(K, L) bool: token k at place start + k sees the places up to its own."""
    places = torch.arange(size, device=device)
    return places <= torch.arange(start, start + count, device=device).unsqueeze(
        1
    )  # (L,) <= (K, 1) -> (K, L)


def each_row(rows: int, start: int, count: int, size: int, device: torch.device) -> Tensor:
    """(B, K, L) bool, torchtune's."""
    return _seen(start, count, size, device).expand(rows, -1, -1)


def square(rows: int, start: int, count: int, size: int, device: torch.device) -> Tensor:
    """(K, L) bool."""
    return _seen(start, count, size, device)


def heads(rows: int, start: int, count: int, size: int, device: torch.device) -> Tensor:
    """(1, 1, K, L) bool, as scaled_dot_product_attention takes it."""
    return _seen(start, count, size, device)[None, None]


def block(rows: int, start: int, count: int, size: int, device: torch.device) -> Any:
    """A BlockMask (1, 1, K, L) of flex attention, gpt-fast's since 2025: the model adds the start itself."""
    # Late: it brings torch's compiler along.
    from torch.nn.attention.flex_attention import create_block_mask  # noqa: PLC0415

    def ahead(b: Tensor, h: Tensor, q: Tensor, kv: Tensor) -> Tensor:
        return q + start >= kv

    mask = create_block_mask(ahead, 1, 1, count, size, device=str(device))
    mask.mask_mod = lambda b, h, q, kv: q >= kv
    return mask


MASKS: dict[str, Callable[..., Any]] = {
    "each row": each_row,
    "square": square,
    "heads": heads,
    "block": block,
}
"""Tried in this order; what holds is kept."""
