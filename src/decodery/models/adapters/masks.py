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


def _seen(places: Tensor, size: int) -> Tensor:
    """(K,) int64 -> (K, L) bool: the token at each place sees the places up to its own."""
    return torch.arange(size, device=places.device) <= places.unsqueeze(1)  # (L,) <= (K, 1) -> (K, L)


def each_row(rows: int, places: Tensor, size: int) -> Tensor:
    """(B, K, L) bool, torchtune's."""
    return _seen(places, size).expand(rows, -1, -1)


def square(rows: int, places: Tensor, size: int) -> Tensor:
    """(K, L) bool."""
    return _seen(places, size)


def heads(rows: int, places: Tensor, size: int) -> Tensor:
    """(1, 1, K, L) bool, as scaled_dot_product_attention takes it."""
    return _seen(places, size)[None, None]


def block(rows: int, places: Tensor, size: int) -> Any:
    """A BlockMask (1, 1, K, L) of flex attention, gpt-fast's since 2025: the model adds the start itself."""
    # Late: it brings torch's compiler along.
    from torch.nn.attention.flex_attention import create_block_mask  # noqa: PLC0415

    start, count, device = int(places[0]), len(places), places.device

    def ahead(b: Tensor, h: Tensor, q: Tensor, kv: Tensor) -> Tensor:
        return q + start >= kv

    mask = create_block_mask(ahead, 1, 1, count, size, device=str(device))
    mask.mask_mod = lambda b, h, q, kv: q >= kv
    return mask


IN_GRAPHS = ("each row", "square", "heads")
"""Those that are made without asking the host."""
MASKS: dict[str, Callable[..., Any]] = {
    "each row": each_row,
    "square": square,
    "heads": heads,
    "block": block,
}
"""Tried in this order; what holds is kept."""
