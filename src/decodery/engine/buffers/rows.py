"""What a prefill is given, row by row: which rows are the same, and the inputs of some."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor


class Alike(NamedTuple):
    """`firsts` (D,) int64: a row of each kind; `copies` (R,) int64: which of them each row is."""

    firsts: Tensor
    copies: Tensor


def alike_among(rows: Tensor) -> Alike | None:
    """The kinds of rows in (R, T) int64, None where all differ."""
    kinds, copies = torch.unique(rows, dim=0, return_inverse=True)
    if len(kinds) == len(rows):
        return None
    firsts = torch.zeros(len(kinds), dtype=torch.int64, device=rows.device)
    firsts[copies] = torch.arange(len(rows), device=rows.device)
    return Alike(firsts, copies)


def take_rows(inputs: Mapping[str, Any], rows: Tensor, count: int) -> dict[str, Any]:
    """(R',) int64: the inputs of these rows; what has no first dimension of `count` belongs to all."""
    return {
        name: value[rows.to(value.device)]
        if isinstance(value, Tensor) and value.shape[:1] == (count,)
        else value
        for name, value in inputs.items()
    }
