"""Which of several equals torch's sort puts first: a top-p that cuts between them keeps those behind."""

from __future__ import annotations

from functools import cache

import torch


@cache
def in_order(rows: int, vocab: int, device: torch.device) -> bool:
    """Whether the sort of (rows, vocab) float32 leaves equals in their order. torch does not promise it, and does so
    for rows of more than 32, by radix; hence it is looked at."""
    place = torch.arange(rows * vocab, device=device).view(rows, vocab)
    scores = (place * 7919 % 61).float().masked_fill(place % 3 == 0, float("-inf"))
    return torch.equal(scores.sort(-1).indices, scores.sort(stable=True, dim=-1).indices)
