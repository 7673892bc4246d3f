"""Rows to decode, made from a seed: their shape decides what a sampling step costs."""

from __future__ import annotations

import torch
from torch import Tensor

SHAPES = ("lm", "flat", "uniform", "tied", "banned")


def logits(shape: str, rows: int, vocab: int, seed: int) -> Tensor:
    """(R, V) float32.

    lm       Zipf 1.6 with noise, as language models' rows look
    flat     a normal's, a tenth as steep
    uniform  all but equal
    tied     a few distinct values
    banned   as lm, nine of ten tokens banned
    """
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(rows, vocab, generator=generator)
    if shape == "uniform":
        return noise * 1e-4
    if shape == "flat":
        return noise * 0.3
    if shape == "tied":
        return (noise * 2).round()
    ranks = torch.stack([torch.randperm(vocab, generator=generator) for _ in range(rows)]) + 1.0
    made = -1.6 * ranks.log() + 0.5 * noise
    if shape == "banned":
        hidden = torch.rand(rows, vocab, generator=generator) < 0.9
        hidden[:, 0] = False
        made = made.masked_fill(hidden, -torch.inf)
    return made
