"""What a model says of itself, and who is believed when several say it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from decodery.contracts.protocols import Capabilities
from decodery.models import facts


class Bare(nn.Module):
    def __init__(self, **said: Any) -> None:
        super().__init__()
        for name, value in said.items():
            setattr(self, name, value)


def test_the_user_is_believed_before_the_configuration_and_that_before_the_layers() -> None:
    model = Bare(config=SimpleNamespace(vocab_size=20, block_size=8), lm_head=nn.Linear(4, 30), vocab_size=25)
    assert facts.vocab_size(model, {"vocab_size": 10}) == 10
    assert facts.vocab_size(model, {}) == 20
    del model.config
    assert facts.vocab_size(model, {}) == 25
    del model.vocab_size
    assert facts.vocab_size(model, {}) == 30


def test_without_a_head_the_token_embedding_counts_not_the_position_table() -> None:
    model = Bare(wpe=nn.Embedding(64, 4), wte=nn.Embedding(50, 4))
    assert facts.vocab_size(model, {}) == 50
    assert facts.max_length(model, {}) == 64


@pytest.mark.parametrize("holder", ["config", "args", "params", "cfg", "hparams"])
@pytest.mark.parametrize(
    "name", ["block_size", "max_seq_len", "max_position_embeddings", "n_ctx", "context_length"]
)
def test_the_context_is_found_under_every_common_name(holder: str, name: str) -> None:
    assert facts.max_length(Bare(**{holder: {name: 77}}), {}) == 77
    assert facts.max_length(Bare(**{holder: SimpleNamespace(**{name: 77})}), {}) == 77
    assert facts.max_length(Bare(**{name: 77}), {}) == 77


def test_a_size_that_is_not_set_yet_is_no_size() -> None:
    # gpt-fast starts with max_seq_length = -1.
    assert facts.max_length(Bare(max_seq_length=-1), {}) is None
    assert facts.max_length(Bare(max_seq_length=True), {}) is None


def test_a_method_may_tell_the_block_size() -> None:
    class MinGPT(nn.Module):
        def get_block_size(self) -> int:
            return 12

    assert facts.max_length(MinGPT(), {}) == 12


def test_a_property_that_raises_says_nothing() -> None:
    class Guarded(nn.Module):
        @property
        def vocab_size(self) -> int:
            raise RuntimeError("call setup first")

    assert facts.vocab_size(Guarded(), {}) is None


def test_special_tokens_may_be_many_and_may_be_zero() -> None:
    config = SimpleNamespace(eos_token_id=[0, 7], pad_token_id=0, bos_token_id=None)
    assert facts.special_tokens(Bare(config=config), {}) == ((0, 7), None, 0)
    assert facts.special_tokens(Bare(config=config), {"eos_token_id": 3, "bos_token_id": 1}) == ((3,), 1, 0)
    assert facts.special_tokens(lambda ids: ids, {}) == ((), None, None)


def test_device_and_dtype_come_from_the_parameters_else_from_buffers_else_cpu_float32() -> None:
    model = nn.Linear(2, 2).double()
    assert facts.dtype_of(model) == torch.float64
    buffered = nn.Module()
    buffered.register_buffer("count", torch.zeros(1, dtype=torch.long))
    buffered.register_buffer("table", torch.zeros(1, dtype=torch.bfloat16))
    assert facts.dtype_of(buffered) == torch.bfloat16
    assert facts.device_of(nn.Linear(2, 2, device="meta"), {}) == torch.device("meta")
    assert facts.device_of(nn.Linear(2, 2, device="meta"), {"device": "cpu"}) == torch.device("cpu")
    assert facts.facts_of(len, {}, Capabilities()).dtype == torch.float32
