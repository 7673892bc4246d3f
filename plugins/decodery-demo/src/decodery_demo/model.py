"""A small decoder-only language model in plain torch: `logits = model(x, input_pos)`.

The architecture is nobody's: RMSNorm before each block, rotary positions, RMSNorm on queries and keys,
SwiGLU, and the embedding used again as output matrix. What matters here is its manner, that of many
home-grown models: a plain call sees the whole text, a call with positions writes to buffers that the model
keeps itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class DemoConfig:
    """The shape of a model, and the facts a decoder needs of it."""

    vocab_size: int = 4096
    block_size: int = 1024
    n_layer: int = 8
    n_head: int = 4
    n_embd: int = 256
    n_hidden: int = 704
    rope_base: float = 10_000.0
    dropout: float = 0.0
    bos_token_id: int = 0
    eos_token_id: int = 0


def rotary_tables(length: int, head_dim: int, base: float) -> tuple[Tensor, Tensor]:
    """The cosines and sines of every position, two FloatTensors (length, head_dim / 2)."""
    frequencies = base ** (-torch.arange(0, head_dim, 2, dtype=torch.float32) / head_dim)
    angles = torch.outer(torch.arange(length, dtype=torch.float32), frequencies)
    return angles.cos(), angles.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn x, float (B, H, T, D/H), by its positions' cos and sin, float (T, D/H/2)."""
    first, second = x.float().chunk(2, dim=-1)
    turned = torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)
    return turned.to(x.dtype)


class KVCache(nn.Module):
    """Keys and values of one layer, two buffers (max_batch, H, S, D/H) that no checkpoint holds."""

    keys: Tensor
    values: Tensor

    def __init__(self, shape: tuple[int, int, int, int], like: Tensor) -> None:
        super().__init__()
        # A tensor born in inference mode could never be written outside it.
        with torch.inference_mode(False):
            self.register_buffer("keys", like.new_zeros(shape), persistent=False)
            self.register_buffer("values", like.new_zeros(shape), persistent=False)

    def update(self, input_pos: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Write k and v, float (B, H, T, D/H), at input_pos, long (T,); returns all S positions of B rows."""
        batch = k.size(0)
        keys, values = self.keys[:batch], self.values[:batch]
        # Detached: the buffers outlive the call, and a graph kept in them would grow with every token.
        keys.index_copy_(2, input_pos, k.detach().to(keys.dtype))
        values.index_copy_(2, input_pos, v.detach().to(values.dtype))
        return keys, values

    def reset(self) -> None:
        self.keys.zero_()
        self.values.zero_()


class Attention(nn.Module):
    """Causal self-attention, with a cache once `setup_caches` has run."""

    def __init__(self, config: DemoConfig) -> None:
        super().__init__()
        self.n_head = config.n_head
        self.head_dim = config.n_embd // config.n_head
        self.qkv = nn.Linear(config.n_embd, 3 * config.n_embd, bias=False)
        self.out = nn.Linear(config.n_embd, config.n_embd, bias=False)
        self.q_norm = nn.RMSNorm(self.head_dim, eps=1e-6)
        self.k_norm = nn.RMSNorm(self.head_dim, eps=1e-6)
        self.cache: KVCache | None = None

    def forward(
        self, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor | None = None, input_pos: Tensor | None = None
    ) -> Tensor:
        """x: float (B, T, D); cos, sin: float (T, D/H/2); mask: bool (T, S), or None for plain causal;
        input_pos: long (T,) or None. Returns float (B, T, D).
        """
        B, T, D = x.shape
        qkv = self.qkv(x).view(B, T, 3, self.n_head, self.head_dim)  # (B, T, 3D) -> (B, T, 3, H, D/H)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # (B, T, 3, H, D/H) -> 3 x (B, H, T, D/H)
        q, k = rotate(self.q_norm(q), cos, sin), rotate(self.k_norm(k), cos, sin)
        if input_pos is not None and self.cache is not None:
            k, v = self.cache.update(input_pos, k, v)  # (B, H, T, D/H) -> (B, H, S, D/H)
        y = F.scaled_dot_product_attention(q, k, v.to(q.dtype), attn_mask=mask, is_causal=mask is None)
        mixed: Tensor = self.out(y.transpose(1, 2).reshape(B, T, D))  # (B, H, T, D/H) -> (B, T, D)
        return mixed


class Block(nn.Module):
    """Attention, then SwiGLU, each normalised before and added to its input."""

    def __init__(self, config: DemoConfig) -> None:
        super().__init__()
        self.attention_norm = nn.RMSNorm(config.n_embd, eps=1e-6)
        self.attention = Attention(config)
        self.mlp_norm = nn.RMSNorm(config.n_embd, eps=1e-6)
        self.gate_up = nn.Linear(config.n_embd, 2 * config.n_hidden, bias=False)
        self.down = nn.Linear(config.n_hidden, config.n_embd, bias=False)
        self.drop = nn.Dropout(config.dropout)

    def forward(
        self, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor | None = None, input_pos: Tensor | None = None
    ) -> Tensor:
        """x: float (B, T, D), the rest as for Attention; returns float (B, T, D)."""
        attended: Tensor = self.attention(self.attention_norm(x), cos, sin, mask, input_pos)
        x = x + self.drop(attended)
        gate, up = self.gate_up(self.mlp_norm(x)).chunk(2, dim=-1)  # (B, T, 2F) -> 2 x (B, T, F)
        mixed: Tensor = self.drop(self.down(self.drop(F.silu(gate) * up)))  # (B, T, F) -> (B, T, D)
        return x + mixed


class DemoModel(nn.Module):
    """`model(x)` sees the whole text; `model(x, input_pos)` goes on from what the cache holds."""

    cos: Tensor
    sin: Tensor

    def __init__(self, config: DemoConfig) -> None:
        super().__init__()
        self.config = config
        self.embed = nn.Embedding(config.vocab_size, config.n_embd)
        self.drop = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.n_layer))
        self.norm = nn.RMSNorm(config.n_embd, eps=1e-6)
        cos, sin = rotary_tables(config.block_size, config.n_embd // config.n_head, config.rope_base)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)
        self.cache_size = (0, 0)  # rows and positions
        self.apply(self._init)

    def _init(self, module: nn.Module) -> None:
        if isinstance(module, nn.Linear | nn.Embedding):
            nn.init.normal_(module.weight, std=0.02)
        if isinstance(module, Block):
            # Blocks start as the identity, so that depth does not change the scale of the first logits.
            nn.init.zeros_(module.attention.out.weight)
            nn.init.zeros_(module.down.weight)

    def setup_caches(self, max_batch_size: int, max_seq_length: int) -> None:
        """Make empty caches of exactly this size; an older one, larger or smaller, is dropped."""
        if max_batch_size < 1 or not 1 <= max_seq_length <= self.config.block_size:
            raise ValueError(
                f"a cache of {max_batch_size} rows and {max_seq_length} positions cannot be made; "
                f"it takes at least one row and 1 to {self.config.block_size} positions"
            )
        head_dim = self.config.n_embd // self.config.n_head
        shape = (max_batch_size, self.config.n_head, max_seq_length, head_dim)
        for attention in self._attentions():
            attention.cache = KVCache(shape, like=self.embed.weight)
        self.cache_size = (max_batch_size, max_seq_length)

    def reset_caches(self) -> None:
        """Forget every text; the buffers keep their size."""
        for attention in self._attentions():
            if attention.cache is not None:
                attention.cache.reset()

    def _attentions(self) -> list[Attention]:
        return [module for module in self.modules() if isinstance(module, Attention)]

    def forward(self, x: Tensor, input_pos: Tensor | None = None) -> Tensor:
        """Logits of the next token at every position.

        x: LongTensor (B, T). input_pos: LongTensor (T,), the absolute positions of x, the same for all rows;
        without it the caches are neither read nor written. Returns FloatTensor (B, T, V).
        """
        mask = None
        if input_pos is None:
            if x.size(1) > self.config.block_size:
                raise ValueError(f"{x.size(1)} tokens exceed the context of {self.config.block_size}")
            cos, sin = self.cos[: x.size(1)], self.sin[: x.size(1)]
        else:
            self._check_cache(x, input_pos)
            cos, sin = self.cos[input_pos], self.sin[input_pos]
            mask = torch.arange(self.cache_size[1], device=x.device) <= input_pos[:, None]  # (T,) -> (T, S)
        h = self.drop(self.embed(x))  # (B, T) -> (B, T, D)
        for block in self.blocks:
            h = block(h, cos, sin, mask, input_pos)
        return F.linear(self.norm(h), self.embed.weight)  # (B, T, D) -> (B, T, V)

    def _check_cache(self, x: Tensor, input_pos: Tensor) -> None:
        """x: LongTensor (B, T); input_pos: LongTensor (T,)."""
        rows, positions = self.cache_size
        if rows == 0:
            raise ValueError("input_pos needs a cache; call setup_caches(batch, length) first")
        if x.size(0) > rows:
            raise ValueError(f"a batch of {x.size(0)} rows exceeds the cache of {rows}; set up a larger one")
        if input_pos.shape != (x.size(1),):
            raise ValueError(f"input_pos of shape {tuple(input_pos.shape)} does not fit {x.size(1)} tokens")
        if x.size(1) > positions:
            raise ValueError(f"{x.size(1)} tokens exceed the cache of {positions} positions")
        # Reading the positions would stall a GPU and break a compiled graph, so only the CPU looks at them.
        if input_pos.device.type == "cpu" and not torch.compiler.is_compiling() and input_pos.numel():
            first, last = int(input_pos.min()), int(input_pos.max())
            if first < 0 or last >= positions:
                raise ValueError(f"positions {first} to {last} do not fit the cache of {positions} positions")
