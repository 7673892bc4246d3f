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


class RandomTransformer(torch.nn.Module):
    """A small causal transformer in plain torch, its weights random and always the same: `model(x) -> (B, T, V)`.

    It is a real model where the others are tables: every token matters, positions too, and rounding is a matrix
    product's. `scale` sharpens its logits.
    """

    def __init__(
        self,
        vocab_size: int,
        *,
        width: int = 32,
        layers: int = 2,
        heads: int = 2,
        context: int = 128,
        scale: float = 1.0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.vocab_size, self.context, self.heads, self.scale = vocab_size, context, heads, scale
        with torch.random.fork_rng(devices=[]):  # torch's own weights are drawn too, and replaced
            self.tokens = torch.nn.Embedding(vocab_size, width)
            self.positions = torch.nn.Embedding(context, width)
            self.blocks = torch.nn.ModuleList(_Block(width, heads) for _ in range(layers))
        generator = torch.Generator().manual_seed(seed)
        for parameter in self.parameters():
            std = 1.0 if parameter.shape[0] in (vocab_size, context) else parameter.shape[-1] ** -0.5
            parameter.data = torch.randn(parameter.shape, generator=generator) * std
        self.eval().requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T) int64, T at most `context` -> (B, T, V) float32."""
        hidden = self.tokens(x) + self.positions(torch.arange(x.shape[1], device=x.device))  # (B, T, D)
        for block in self.blocks:
            hidden = block(hidden)
        hidden = torch.nn.functional.layer_norm(hidden, hidden.shape[-1:])
        logits: Tensor = hidden @ self.tokens.weight.T * (self.scale / hidden.shape[-1] ** 0.5)
        return logits  # (B, T, D) -> (B, T, V)


class _Block(torch.nn.Module):
    """Attention and a feed-forward layer, each on what it normalises, each added to what was there."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.mix = torch.nn.Linear(width, 3 * width, bias=False)
        self.back = torch.nn.Linear(width, width, bias=False)
        self.up = torch.nn.Linear(width, 4 * width, bias=False)
        self.down = torch.nn.Linear(4 * width, width, bias=False)

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, T, D) -> (B, T, D)."""
        functional, size = torch.nn.functional, hidden.shape[-1:]
        mixed = self.mix(functional.layer_norm(hidden, size))  # (B, T, D) -> (B, T, 3 D)
        query, key, value = mixed.unflatten(-1, (3, self.heads, -1)).movedim(2, 0).transpose(2, 3)
        seen = functional.scaled_dot_product_attention(query, key, value, is_causal=True)  # (B, H, T, D / H)
        hidden = hidden + self.back(seen.transpose(1, 2).flatten(2))  # (B, H, T, D / H) -> (B, T, D)
        more: Tensor = self.down(functional.gelu(self.up(functional.layer_norm(hidden, size))))
        return hidden + more
