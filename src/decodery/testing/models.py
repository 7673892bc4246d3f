"""Tiny models whose logits are a known function of a row's own tokens: what decodes them is all that can differ."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


class TableModel:
    """`model(x) -> (B, T, V)`: the logits at a position are a row of a random table, chosen by hashing the prefix.

    Looking a row up has no arithmetic, so a row's logits are the same bits in every batch. `scale` sharpens them.
    """

    def __init__(self, vocab_size: int, *, states: int = 997, scale: float = 2.0, seed: int = 0) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.vocab_size, self._states = vocab_size, states
        self.table = torch.randn(states, vocab_size, generator=generator) * scale

    def state(self, prefix: Sequence[int]) -> int:
        """The row of the table that a prefix of ids leads to."""
        value = 0
        for token in prefix:
            value = (value * 31 + token + 1) % self._states
        return value

    def __call__(self, x: Tensor) -> Tensor:
        """(B, T) int64 -> (B, T, V) float32."""
        value = torch.zeros(len(x), dtype=torch.int64)
        states = []
        for column in x.unbind(1):
            value = (value * 31 + column + 1) % self._states
            states.append(value)
        return self.table[torch.stack(states, 1)]  # T x (B,) -> (B, T) -> (B, T, V)


class UniformModel:
    """Every token equally likely, whatever came before."""

    def __init__(self, vocab_size: int) -> None:
        self.vocab_size = vocab_size

    def __call__(self, x: Tensor) -> Tensor:
        """(B, T) int64 -> (B, T, V) zeros."""
        return torch.zeros(*x.shape, self.vocab_size)


class ScriptedModel:
    """Plays given logits: at position t of every row, `script[t]` (V,), the last one for ever after."""

    def __init__(self, script: Tensor) -> None:
        self.script, self.vocab_size = script, script.shape[-1]

    def __call__(self, x: Tensor) -> Tensor:
        """(B, T) int64 -> (B, T, V)."""
        at = torch.arange(x.shape[1]).clamp(max=len(self.script) - 1)
        return self.script[at].expand(len(x), -1, -1)  # (T, V) -> (B, T, V)
