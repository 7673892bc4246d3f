"""Texts as rows of ids, and how likely a score is without a watermark."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ...contracts.errors import InvalidInput

Rows = Sequence[Sequence[int]] | Tensor
"""Token ids, a list a text, of any lengths; or a LongTensor (B, T) of texts of one length."""


def normal_tail(z: float) -> float:
    """P(Z >= z) of a standard normal variable."""
    return 0.5 * math.erfc(z / math.sqrt(2))


def binomial_tail(hits: int, tries: int, chance: float) -> float:
    """P(X >= hits) of a binomial variable, 0 < chance < 1."""
    if hits <= 0:
        return 1.0
    if hits > tries:
        return 0.0
    logs = (
        math.lgamma(tries + 1)
        - math.lgamma(k + 1)
        - math.lgamma(tries - k + 1)
        + k * math.log(chance)
        + (tries - k) * math.log1p(-chance)
        for k in range(hits, tries + 1)
    )
    return min(math.fsum(map(math.exp, logs)), 1.0)


def as_rows(rows: Any, prompts: Any) -> list[tuple[Tensor, int]]:
    """Each text behind its prompt, (T,) int64 on the CPU, and where the text begins. Raises `InvalidInput`."""
    texts = _lists(rows, "rows")
    before = [[] for _ in texts] if prompts is None else _lists(prompts, "prompts")
    if len(before) != len(texts):
        raise InvalidInput(f"{len(before)} prompts for {len(texts)} texts", remedy="give one a text")
    return [
        (torch.tensor([*prompt, *text], dtype=torch.int64), len(prompt))
        for prompt, text in zip(before, texts, strict=True)
    ]


def _lists(rows: Any, what: str) -> list[list[int]]:
    remedy = "give a list of token ids a text, or a LongTensor (B, T)"
    if isinstance(rows, Tensor):
        if rows.ndim != 2 or rows.is_floating_point() or rows.is_complex() or rows.dtype == torch.bool:
            raise InvalidInput(
                f"{what} are a {rows.dtype} tensor of shape {tuple(rows.shape)}", remedy=remedy
            )
        listed: list[list[int]] = rows.tolist()
        return listed
    try:
        return [[int(token.__index__()) for token in row] for row in rows]
    except (TypeError, AttributeError):
        raise InvalidInput(f"{what} are {rows!r:.60}", remedy=remedy) from None
