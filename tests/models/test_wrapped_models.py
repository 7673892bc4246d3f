"""Precisions, compilers and wrappers: the same tokens as the plain model, and nothing moves."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
import zoo
import zoo_more
import zoo_state
from seq2seq_models import seq2seq
from torch import nn
from torch.nn.parallel import DataParallel, DistributedDataParallel

from decodery import Decoder, Pipeline

PROMPTS = [[3, 4, 5, 6], [7], [8, 9]]


def llama() -> Any:
    torch.manual_seed(0)
    config = hf.LlamaConfig(
        vocab_size=zoo.VOCAB, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=64, initializer_range=0.4, eos_token_id=None, bos_token_id=None,
    )  # fmt: skip
    return hf.LlamaForCausalLM(config).eval()


MODELS: dict[str, Callable[[], Any]] = {
    "stateless": zoo.NanoGPT,
    "input_pos": zoo.Demo,
    "hf": llama,
    "hf_encoder_decoder": lambda: seq2seq("bart"),
}


def tokens(model: Any, adapter: str, prompts: list[list[int]] = PROMPTS) -> list[list[int]]:
    decoder = Decoder(model, Pipeline().add("no_repeat_ngram", 1).stop("max_new_tokens", 8))
    assert decoder.report.adapter == adapter
    return decoder.generate(prompts).tokens


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_any_precision_decodes_in_its_own(name: str, dtype: torch.dtype) -> None:
    model = copy.deepcopy(MODELS[name]()).to(dtype)
    decoder = Decoder(model, Pipeline().stop("max_new_tokens", 6))
    assert (decoder.model.facts.dtype, decoder.report.adapter, decoder.report.warnings) == (dtype, name, ())
    result = decoder.generate(PROMPTS, return_scores=True)
    assert [len(row) for row in result.tokens] == [6] * 3
    expected = torch.float64 if dtype == torch.float64 else torch.float32
    assert all(row.scores is not None and row.scores.dtype == expected for row in result)
    assert next(model.parameters()).dtype == dtype
    # Rounding is the model's own: a row alone may differ by it, not by more.
    if dtype == torch.float64:
        assert [decoder.generate(prompt).tokens[0] for prompt in PROMPTS] == result.tokens


@pytest.mark.parametrize(
    "name", ["stateless", *(pytest.param(name, marks=pytest.mark.slow) for name in list(MODELS)[1:])]
)
def test_a_compiled_model_gives_the_tokens_of_the_plain_one(name: str) -> None:
    model = MODELS[name]()
    expected = tokens(model, name)
    assert tokens(torch.compile(model, backend="eager"), name) == expected


@pytest.fixture(scope="module")
def group() -> Iterator[None]:
    """One process that is a group of its own."""
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT="29517")
    torch.distributed.init_process_group("gloo", rank=0, world_size=1, store=torch.distributed.HashStore())
    yield
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")
def test_a_model_in_ddp_is_driven_by_the_adapter_of_what_is_inside(name: str, group: None) -> None:
    model = MODELS[name]()
    expected = tokens(model, name)
    assert tokens(DistributedDataParallel(model), name) == expected
    assert tokens(DataParallel(model), name) == expected


@pytest.mark.parametrize(
    "name",
    ["stateless", "state", *(pytest.param(n, marks=pytest.mark.slow) for n in [*list(MODELS)[1:], "flag"])],
)
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")
def test_a_model_in_fsdp_is_driven_by_the_adapter_of_what_is_inside(name: str, group: None) -> None:
    """Caches inside of the module and outside, returned states, encoders: all found through the wrapper."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import FullyShardedDataParallel, fully_shard

    make = {**MODELS, "state": zoo_state.Fms, "flag": zoo_more.UseCache}[name]
    expected = tokens(make(), name)
    wrapped = FullyShardedDataParallel(make(), device_id=torch.device("cpu"))
    assert tokens(wrapped, name) == expected
    assert tokens(wrapped, name) == expected
    mesh = init_device_mesh("cpu", (1,))  # or it would be the GPU of a machine that has one
    assert tokens(fully_shard(make(), mesh=mesh), name) == expected


def test_a_model_spread_by_a_device_map_is_fed_where_its_first_layer_is(tmp_path: Path) -> None:
    accelerate = pytest.importorskip("accelerate", reason="needs accelerate, which device_map= is part of")
    expected = tokens(llama(), "hf")
    model = accelerate.dispatch_model(
        llama(),
        device_map={"model.embed_tokens": "cpu", "model.layers.0": "cpu", "model.layers.1": "disk",
                    "model.norm": "cpu", "model.rotary_emb": "cpu", "lm_head": "cpu"},
        main_device="cpu",
        offload_dir=str(tmp_path),
    )  # fmt: skip
    assert tokens(model, "hf") == expected


class Spread(nn.Module):
    """Two halves by hand on two devices; the logits come from the second."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.second = second
        self.embed = nn.Embedding(zoo.VOCAB, 16).to(first)
        self.head = nn.Linear(16, zoo.VOCAB).to(second)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.embed(x).cumsum(1).to(self.second))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
class TestOnCuda:
    """Run with: pytest -q tests/models/test_wrapped_models.py -m gpu"""

    @pytest.mark.parametrize("name", MODELS)
    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
    def test_any_precision_decodes_there(self, name: str, dtype: torch.dtype) -> None:
        model = copy.deepcopy(MODELS[name]()).to("cuda", dtype)
        decoder = Decoder(model, Pipeline().stop("max_new_tokens", 6))
        assert (decoder.model.facts.device.type, decoder.report.adapter) == ("cuda", name)
        result = decoder.generate(PROMPTS, return_scores=True)
        assert result.sequences.is_cuda
        assert [len(row) for row in result.tokens] == [6] * 3

    def test_halves_on_two_devices(self) -> None:
        expected = Decoder(Spread("cpu", "cpu")).generate(PROMPTS, max_new_tokens=6).tokens
        for first, second in (("cpu", "cuda"), ("cuda", "cpu"), ("cuda", "cuda")):
            result = Decoder(Spread(first, second)).generate(PROMPTS, max_new_tokens=6)
            assert result.tokens == expected

    def test_a_model_spread_by_a_device_map(self) -> None:
        accelerate = pytest.importorskip("accelerate")
        expected = tokens(llama(), "hf")
        model = accelerate.dispatch_model(
            llama(),
            device_map={"model.embed_tokens": "cpu", "model.layers.0": 0, "model.layers.1": "cpu",
                        "model.norm": 0, "model.rotary_emb": 0, "lm_head": 0},
        )  # fmt: skip
        assert tokens(model, "hf") == expected

    @pytest.mark.parametrize("name", MODELS)
    def test_a_compiled_model(self, name: str) -> None:
        model = copy.deepcopy(MODELS[name]()).to("cuda")
        assert tokens(torch.compile(model), name) == tokens(model, name)
