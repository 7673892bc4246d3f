"""Token ids that strategies hand over, checked before they reach the history."""

from __future__ import annotations

import torch
from torch import Tensor

from ...contracts.errors import InvalidInput, PluginError


def checked_tokens(tokens: object, scores: Tensor, who: str) -> Tensor:
    """What a strategy chose, as (R,) int64 ids. Raises `PluginError` for anything else. On a GPU the range is left to
    the model, since looking at it would wait for the device."""
    if not isinstance(tokens, Tensor) or tokens.shape != scores.shape[:1] or tokens.dtype != torch.int64:
        found = (
            f"{tokens.dtype} {tuple(tokens.shape)}" if isinstance(tokens, Tensor) else type(tokens).__name__
        )
        raise PluginError(
            f"strategy {who!r} chose {found} for {len(scores)} rows", remedy="return (R,) int64, one id a row"
        )
    if tokens.device.type == "cpu" and not bool(((tokens >= 0) & (tokens < scores.shape[-1])).all()):
        raise PluginError(
            f"strategy {who!r} chose {tokens.tolist()} of {scores.shape[-1]} tokens",
            remedy="choose ids of the vocabulary",
        )
    return tokens


def checked_ids(tokens: Tensor, rows: int, device: torch.device) -> Tensor:
    """(R, K) int64 on `device`. Raises `InvalidInput` for another shape or dtype."""
    if (
        not isinstance(tokens, Tensor)
        or tokens.ndim != 2
        or len(tokens) != rows
        or tokens.dtype != torch.int64
    ):
        found = (
            f"{tokens.dtype} {tuple(tokens.shape)}" if isinstance(tokens, Tensor) else type(tokens).__name__
        )
        raise InvalidInput(f"{found} for {rows} rows", remedy="give int64 ids, a line a row")
    return tokens.to(device)
