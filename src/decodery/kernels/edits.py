"""Sparse edits: the scores of few tokens changed, the others copied."""

from __future__ import annotations

import torch
from torch import Tensor

from ..contracts.lowering import Mode


def edit(scores: Tensor, ids: Tensor, values: Tensor, mode: Mode, *, clean: bool = False) -> None:
    """Edit in place. scores (R, V) float32; ids (R, E) or (1, E) int64, those outside the vocabulary are skipped;
    values (R, E), (R, 1), (1, E) or (1, 1).

    Equal ids of a row have equal values, unless the mode is "add": then an id occurs once. `clean`: no id is
    outside, the caller vouches.
    """
    if not ids.shape[1]:
        return
    rows, vocab = scores.shape
    ids = ids.expand(rows, -1)
    if clean:
        old = scores.gather(-1, ids)  # (R, V) -> (R, E)
        scores.scatter_(-1, ids, changed(old, values, mode))
        return
    outside = (ids < 0) | (ids >= vocab)
    inside = ids.masked_fill(outside, 0)
    old = scores.gather(-1, inside)  # (R, V) -> (R, E)
    new = changed(old, values, mode)
    # A skipped slot must not undo an edit of token 0, so it writes what token 0 becomes.
    edited = new.masked_fill(ids != 0, -torch.inf).amax(-1, keepdim=True)  # (R, E) -> (R, 1)
    zero = torch.where((ids == 0).any(-1, keepdim=True), edited, scores[:, :1])
    scores.scatter_(-1, inside, torch.where(outside, zero, new))


def changed(old: Tensor, values: Tensor, mode: Mode) -> Tensor:
    """(R, E) -> (R, E)."""
    if mode == "set":
        return values.expand_as(old)
    return old + values if mode == "add" else torch.where(old < 0, old * values, old / values)
