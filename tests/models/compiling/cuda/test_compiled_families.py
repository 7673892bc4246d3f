"""Compiled forwards of transformers' families on a CUDA device: the tokens of the plain one."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from decodery import Decoder, Pipeline

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
SMALL: dict[str, Any] = {
    "vocab_size": 500,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 256,
    "initializer_range": 0.3,
    "eos_token_id": None,
    "pad_token_id": 0,
}
FAMILIES: dict[str, dict[str, Any]] = {
    "llama": SMALL,
    "qwen2": SMALL,
    "qwen3": SMALL,
    "gemma2": SMALL | {"query_pre_attn_scalar": 16, "sliding_window": 16, "tie_word_embeddings": False},
    "olmo2": SMALL,
    "gpt_neox": SMALL | {"rotary_pct": 1.0},
    "gpt2": {"vocab_size": 500, "n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 256}
    | {"initializer_range": 0.3, "eos_token_id": None, "bos_token_id": None, "pad_token_id": 0},
}


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_compiled_family_tells_the_same(family: str, rows: int) -> None:
    torch.manual_seed(0)
    torch._dynamo.reset()
    config = AutoConfig.for_model(family, **FAMILIES[family])
    model = AutoModelForCausalLM.from_config(config).eval().cuda()
    prompts = torch.randint(1, 500, (rows, 9), device="cuda")
    pipeline = Pipeline().with_strategy("sample", seed=1).stop("max_new_tokens", 40)
    expected = Decoder(model, pipeline).generate(prompts)
    found = Decoder(model, pipeline, compile="full").generate(prompts)
    assert found.tokens == expected.tokens
    assert len({token for tokens in found.tokens for token in tokens}) > 4
