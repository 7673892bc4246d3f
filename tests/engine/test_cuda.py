"""The same claims with everything on a CUDA device: no tensor is left behind on the CPU."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from decodery import Decoder, Pipeline
from decodery.contracts.errors import BadRow
from decodery.testing import chi_square

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
VOCAB = 80
RAGGED = [[11, 12], [21, 22, 23, 24, 25], [31], [41, 42, 43]]
CHAIN = (
    Pipeline()
    .add("sequence_bias", [[[9], 1.5], [[8, 7], -2.0]])
    .add("repetition_penalty", 1.2)
    .add("no_repeat_ngram", 3)
    .add("bad_words", [[17], [3, 4]])
    .add("min_new_tokens", 4)
    .add("temperature", 1.3)
    .add("top_k", 40)
    .add("top_p", 0.95)
    .add("min_p", 0.01)
    .add("typical_p", 0.95)
    .add("epsilon_cutoff", 1e-4)
    .add("eta_cutoff", 1e-4)
    .with_strategy("sample", seed=5)
)


def llama() -> Any:
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=VOCAB,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=64,
        initializer_range=0.4,
        pad_token_id=0,
        eos_token_id=5,
        bos_token_id=1,
    )
    return LlamaForCausalLM(config).eval()


class Table(torch.nn.Module):
    """`model(x, input_pos)` with a cache of ids: the logits of a row are the same bits on every device."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("table", torch.randn(997, VOCAB) * 2)
        self.max_seq_length = 64

    def setup_caches(self, max_batch_size: int, max_seq_length: int) -> None:
        self.ids = torch.zeros(max_batch_size, max_seq_length, dtype=torch.int64, device=self.table.device)

    def forward(self, x: Tensor, input_pos: Tensor) -> Tensor:
        self.ids[: len(x), input_pos] = x
        state, states = torch.zeros(len(x), dtype=torch.int64, device=x.device), []
        for column in self.ids[: len(x), : int(input_pos[-1]) + 1].unbind(1):
            state = (state * 31 + column + 1) % 997
            states.append(state)
        return self.table[torch.stack(states, 1)][:, input_pos]


def plain(x: Tensor) -> Tensor:
    """A function that answers where it is asked. No ties: which of them a sort keeps is the device's affair."""
    ramp = torch.arange(VOCAB, device=x.device) * 0.01
    return torch.nn.functional.one_hot((x * 7 + 3) % VOCAB, VOCAB).float() * 3 + ramp


@pytest.mark.parametrize("adapter", ["input_pos", "stateless"])
def test_tokens_on_the_device_are_those_on_the_cpu(adapter: str) -> None:
    torch.manual_seed(0)
    model: Any = Table() if adapter == "input_pos" else plain
    here = Decoder(model, CHAIN, vocab_size=VOCAB, eos_token_id=5, adapter=adapter)
    expected = here.generate(RAGGED, n=2, max_new_tokens=12, logprobs=2, return_scores=True)
    there = Decoder(model, CHAIN, vocab_size=VOCAB, eos_token_id=5, adapter=adapter, device="cuda")
    found = there.generate(RAGGED, n=2, max_new_tokens=12, logprobs=2, return_scores=True)
    assert found.sequences.is_cuda
    assert found.tokens == expected.tokens
    assert found.finish_reasons == expected.finish_reasons


@pytest.mark.parametrize("prompts", [RAGGED, [[1, 2, 3], [4, 5, 6]]], ids=["left-padded", "equal"])
def test_compat_hf_equals_generate_on_the_device(prompts: list[list[int]]) -> None:
    model = llama().cuda()
    width = max(map(len, prompts))
    ids = torch.tensor([[0] * (width - len(p)) + p for p in prompts]).cuda()
    mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts]).cuda()
    pipe = (
        Pipeline().add("repetition_penalty", 1.2).add("temperature", 0.9).add("top_k", 20).add("top_p", 0.9)
    )
    pipe = pipe.compat("hf").with_strategy("sample").stop("eos").stop("max_new_tokens", 14)
    for seed in range(4):
        torch.manual_seed(seed)
        theirs = model.generate(
            ids,
            attention_mask=mask,
            max_new_tokens=14,
            do_sample=True,
            repetition_penalty=1.2,
            temperature=0.9,
            top_k=20,
            top_p=0.9,
            pad_token_id=0,
            eos_token_id=5,
        )
        torch.manual_seed(seed)
        ours = Decoder(model, pipe).generate(prompts)
        rows = [row[width:].tolist() for row in theirs]
        assert ours.tokens == [row[: row.index(5) + 1] if 5 in row else row for row in rows]


def test_an_own_loop_stays_on_the_device() -> None:
    pipe = Pipeline().add("repetition_penalty", 1.2).add("top_p", 0.9).with_strategy("sample", seed=3)
    x, logits = torch.tensor([[3, 9, 3], [4, 5, 6]]).cuda(), torch.randn(2, VOCAB).cuda()
    assert pipe(x, logits).is_cuda
    assert torch.equal(pipe.pick(x, logits).cpu(), pipe.pick(x.cpu(), logits.cpu()))
    assert pipe.compat("hf").pick(x, logits).is_cuda
    bound = CHAIN.bind(prompt=x, vocab_size=VOCAB, eos_token_id=5)
    grown = torch.cat((x, bound.pick(x, logits).unsqueeze(1)), dim=1)
    assert bound(grown, logits).is_cuda
    assert bound.stopped(grown, logits).tolist() == [False, False]
    poisoned = logits.clone()
    poisoned[1, 2] = float("nan")
    with pytest.raises(BadRow, match="row 1"):
        pipe.pick(x, poisoned)


def test_draws_on_the_device_follow_the_scores() -> None:
    logits = torch.randn(VOCAB, generator=torch.Generator().manual_seed(2)).cuda()
    x = torch.ones(50_000, 1, dtype=torch.int64).cuda()
    drawn = Pipeline().with_strategy("sample", seed=1).pick(x, logits.expand(50_000, -1))
    counts = torch.bincount(drawn, minlength=VOCAB).cpu()
    assert chi_square(counts, logits.double().softmax(-1).cpu()) > 1e-6
