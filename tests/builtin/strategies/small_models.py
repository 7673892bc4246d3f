"""Small models for the strategies' tests: a target and a worse twin of it as a draft, of four kinds."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from decodery.testing import RandomTransformer

VOCAB, CONTEXT = 24, 64


class InputPos(nn.Module):
    """`model(x, input_pos)` with one cache of its own: it remembers ids, place by place, and nothing of rows."""

    def __init__(self, inner: Any, context: int = CONTEXT) -> None:
        super().__init__()
        self.inner, self.max_seq_length = inner, context
        self.weight = nn.Parameter(torch.zeros(1))

    def setup_caches(self, max_batch_size: int, max_seq_length: int) -> None:
        """One row of ids each."""
        self.tokens = torch.zeros(max_batch_size, max_seq_length, dtype=torch.int64)

    def forward(self, x: Tensor, input_pos: Tensor) -> Tensor:
        """(B, K) int64, (K,) int64 -> (B, K, V)."""
        self.tokens[: len(x), input_pos] = x
        return self.inner(self.tokens[: len(x), : int(input_pos[-1]) + 1])[:, input_pos]


def llama() -> Any:
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=VOCAB,
            hidden_size=32,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=CONTEXT,
            initializer_range=0.3,
            bos_token_id=1,
            eos_token_id=3,
        )
    ).eval()


def gpt2() -> Any:
    return GPT2LMHeadModel(
        GPT2Config(
            vocab_size=VOCAB,
            n_embd=32,
            n_layer=2,
            n_head=4,
            n_positions=CONTEXT,
            initializer_range=0.3,
            bos_token_id=1,
            eos_token_id=3,
        )
    ).eval()


def plain() -> RandomTransformer:
    return RandomTransformer(VOCAB, context=CONTEXT, scale=3.0)


KINDS: dict[str, Callable[[], Any]] = {
    "llama": llama,
    "gpt2": gpt2,
    "input_pos": lambda: InputPos(plain()),
    "stateless": plain,
}


def model_of(kind: str) -> Any:
    """Always the same weights."""
    torch.manual_seed(11)
    return KINDS[kind]().requires_grad_(False)


def worse(model: Any, by: float) -> Any:
    """A copy whose weights are disturbed: the more, the less it agrees with the model."""
    twin = copy.deepcopy(model)
    generator = torch.Generator().manual_seed(5)
    for weight in twin.parameters():
        noise = torch.randn(weight.shape, generator=generator)
        weight.data = weight + by * noise * weight.std(correction=0)
    return twin
