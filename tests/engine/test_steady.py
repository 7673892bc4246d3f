"""A row that goes straight through its steps gets what it would get step by step."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from decodery import Decoder, Generation, Pipeline
from decodery.contracts.errors import BadRow
from decodery.engine.buffers import history as histories
from decodery.engine.buffers.history import History
from decodery.engine.run.steady import Steady
from decodery.host.registry import Host
from decodery.kernels.table import table
from decodery.testing import TableModel

VOCAB = 900
BACKENDS = [e.name for e in table(Host()) if e.backend is not None and "cpu" in e.backend.devices]
PROMPT = [3, 1, 4, 1, 5]


class Doubled:
    """Opaque: nobody knows what it does."""

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        return scores * 2


def llama(dtype: torch.dtype = torch.float32) -> LlamaForCausalLM:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCAB,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=64,
        eos_token_id=7,
        pad_token_id=0,
        initializer_range=0.5,
    )
    return LlamaForCausalLM(config).eval().to(dtype)


def shaken(pipe: Pipeline) -> Pipeline:
    return pipe.add("temperature", 0.9).add("top_k", 30).add("top_p", 0.9).with_strategy("sample", seed=5)


PIPES: dict[str, Pipeline] = {
    "greedy": Pipeline().stop("max_new_tokens", 20),
    "until the context is full": Pipeline().add("repetition_penalty", 1.4).stop("max_new_tokens", 900),
    "penalties": shaken(Pipeline().add("repetition_penalty", 1.3)).stop("max_new_tokens", 25),
    "ends": shaken(Pipeline().add("min_new_tokens", 6)).stop("eos").stop("max_new_tokens", 25),
    "n-grams": Pipeline().add("no_repeat_ngram", 2).stop("max_new_tokens", 25),
    "a window": shaken(Pipeline().add("repetition_penalty", penalty=1.3, window=6)).stop(
        "max_new_tokens", 25
    ),
    "biases": Pipeline().add("sequence_bias", [[[9], 3.0], [[11], -2.0]]).stop("max_new_tokens", 12),
    "too flat": Pipeline()
    .add("temperature", 9.0)
    .add("top_p", 0.99)
    .with_strategy("sample", seed=2)
    .stop("max_new_tokens", 8),
    "opaque": shaken(Pipeline().add(Doubled())).stop("max_new_tokens", 12),
    "half opaque": Pipeline()
    .add(Doubled())
    .add("top_k", 4)
    .with_strategy("sample", seed=3)
    .stop("max_new_tokens", 8),
    "token ids": shaken(Pipeline()).stop("stop_token_ids", [1, 2, 3, 4, 5, 6]).stop("max_new_tokens", 25),
}


def facts(gen: Generation) -> list[Any]:
    return [gen.tokens, gen.finish_reasons, gen.sequences.tolist(), gen.seed, gen.fallbacks]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("hf", [False, True], ids=["rows", "hf"])
@pytest.mark.parametrize("name", PIPES)
def test_straight_through_is_step_by_step(
    name: str, hf: bool, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DECODERY_KERNELS", backend)
    pipe = PIPES[name].compat("hf" if hf else None)
    others = [llama(torch.bfloat16), TableModel(VOCAB)] if name in ("greedy", "penalties") else []
    for model in (llama(), *others):
        decoder = Decoder(model, pipe, max_length=64, eos_token_id=7, vocab_size=VOCAB)
        straight = decoder.generate([PROMPT], seed=11)
        with monkeypatch.context() as patch:
            patch.setattr(Steady, "of", classmethod(lambda cls, run: None))
            assert facts(decoder.generate([PROMPT], seed=11)) == facts(straight)
    assert [event.token for event in decoder.stream([PROMPT], seed=11)] == straight.tokens[0]


@pytest.mark.parametrize("backend", BACKENDS)
def test_most_runs_of_one_row_go_straight_through(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DECODERY_KERNELS", backend)
    went: Counter[bool] = Counter()
    step = Steady.step

    def counted(steady: Steady) -> bool:
        done = step(steady)
        went[done] += 1
        return done

    monkeypatch.setattr(Steady, "step", counted)
    for name in ("greedy", "penalties", "a window"):
        Decoder(llama(), PIPES[name]).generate([PROMPT])
    assert went[False] < 8
    assert went[True] > 50


def test_whoever_looks_on_is_shown_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Steady, "step", lambda steady: pytest.fail("somebody looks on"))

    class Watching:
        def __init__(self, *wants: str) -> None:
            self.wants = frozenset(wants)

        def on_tokens(self, *given: Any) -> None: ...
        def on_scores(self, *given: Any) -> None: ...
        def on_step(self, *given: Any) -> None: ...

    decoder = Decoder(llama(), PIPES["penalties"])
    for wish in ("tokens", "scores", "steps"):
        decoder.generate([PROMPT], observers=[Watching(wish)])
    decoder.generate([PROMPT], logprobs=2)
    decoder.generate([PROMPT, PROMPT[:3]])


def test_a_bad_row_is_named_as_ever() -> None:
    class Broken(torch.nn.Module):
        def forward(self, ids: Tensor) -> Tensor:
            logits = torch.zeros(*ids.shape, 40)
            return logits if ids.shape[1] < 9 else logits * torch.nan

    for pipe in (Pipeline(), shaken(Pipeline())):
        with pytest.raises(BadRow, match="NaN") as caught:
            Decoder(Broken(), pipe, vocab_size=40).generate([PROMPT])
        assert (caught.value.row, caught.value.step) == (0, 4)


def test_a_history_reads_what_the_host_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(histories, "_FIRST", 8)
    history = History([[1, 2, 3]], 0, torch.device("cpu"))
    steps = history.steps  # whoever holds it sees it move
    for token in range(10, 30):
        assert history.write_one(token) == len(history.input_ids[0])
    assert history.input_ids.tolist() == [[1, 2, 3, *range(10, 30)]]
    assert history.lengths.tolist() == history.host_lengths == [23]
    assert steps.tolist() == [20]
    assert history.prompt_lengths.tolist() == [3]
    history.rewind(torch.tensor([4]), [4])
    history.write_one(99)
    assert history.input_ids.tolist() == [[1, 2, 3, *range(10, 26), 99]]
    assert (history.lengths.tolist(), history.steps.tolist()) == ([20], [17])
    history.select(torch.tensor([0, 0]), [0, 0])
    assert not history.on_host
    history.write(torch.tensor([5, 6]), torch.tensor([True, True]), [0, 1])
    assert history.input_ids[:, -2:].tolist() == [[99, 5], [99, 6]]
    assert history.steps.tolist() == [18, 18]


def test_rows_in_step_are_written_alike_by_host_and_device(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, everyone = [[1, 2], [3, 4], [5, 6]], torch.ones(3, dtype=torch.bool)
    found = []
    for few in (32, 0):
        monkeypatch.setattr(histories, "_FEW", few)
        history = History(rows, 0, torch.device("cpu"))
        history.reserve(9)
        for token in range(4):
            history.write(torch.tensor([token, token + 1, token + 2]), everyone, range(3))
        found.append([history.tokens.tolist(), history.lengths.tolist(), history.steps.tolist()])
    assert found[0] == found[1]
