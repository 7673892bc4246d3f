"""What became of a batch since the last call. `generate` tells its processors nothing but the ids, so it is read off
them: rows grew, were reordered by a beam search, lost drafts that were not accepted, or belong to another call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Change:
    """parents  the old row that each row goes on from, None where each goes on from itself
    kept     how many of the old columns are still there
    """

    parents: Sequence[int] | None
    kept: int


def what_changed(old: Tensor, new: Tensor, prompt: int) -> Change | None:
    """(R, T0) and (R', T) int64, the length of the run's prompt -> what happened; None: this is another run.

    A run never gets shorter than its first new token, so whatever does is another one.
    """
    if len(old) != len(new) or new.shape[1] <= prompt:
        return None
    common = min(old.shape[1], new.shape[1])
    same = old[:, :common] == new[:, :common]  # (R, C)
    if bool(same.all()):
        return Change(None, common)
    if new.shape[1] > old.shape[1]:
        parents = _parents(old, new[:, : old.shape[1]])
        if parents is not None:
            return Change(parents, old.shape[1])
    kept = int(
        same.all(0).int().cumprod(0).sum()
    )  # (R, C) -> (C,) -> the columns before the first difference
    return None if kept < prompt else Change(None, kept)


def _parents(old: Tensor, new: Tensor) -> list[int] | None:
    """(R, T) each: for each new row an old one of the same text, its own place first; None where one has none."""
    equal = (old.unsqueeze(0) == new.unsqueeze(1)).all(-1)  # (1, R, T) == (R, 1, T) -> (R, R)
    if not bool(equal.any(1).all()):
        return None
    own = torch.eye(len(old), dtype=torch.bool, device=old.device) & equal
    best = torch.where(own.any(1), own.int().argmax(1), equal.int().argmax(1))
    return best.tolist()  # type: ignore[no-any-return]
