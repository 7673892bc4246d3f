"""compile="full" gives the tokens of the loop, compiles once for many texts, and does without where it must."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from test_cuda import VOCAB, llama
from test_graphs import Steady
from torch import Tensor, nn
from torch.fx import GraphModule

from decodery import Decoder, Pipeline
from decodery.contracts.errors import ModelError
from decodery.models.compiling.compiled import Compiled

FACTS: dict[str, Any] = {"vocab_size": VOCAB, "pad_token_id": 0}


@pytest.fixture
def graphs(monkeypatch: pytest.MonkeyPatch) -> list[GraphModule]:
    """What dynamo hands to a compiler, which here is none."""
    seen: list[GraphModule] = []
    compile_it = torch.compile

    def noted(graph: GraphModule, given: list[Tensor]) -> Callable[..., Any]:
        seen.append(graph)
        return graph.forward

    torch.compiler.reset()
    monkeypatch.setattr(torch, "compile", lambda model, **_: compile_it(model, dynamic=False, backend=noted))
    return seen


@pytest.mark.parametrize("make", [Steady, llama])
def test_texts_of_many_lengths_are_compiled_for_once(
    make: Callable[[], nn.Module], graphs: list[GraphModule]
) -> None:
    torch.manual_seed(0)
    model = make()
    plain, compiled = Decoder(model, **FACTS), Decoder(model, compile="full", **FACTS)
    for length in (3, 7, 20, 41):
        prompt = [[n % VOCAB for n in range(1, length + 1)]]
        expected = plain.generate(prompt, max_new_tokens=length).tokens
        assert compiled.generate(prompt, max_new_tokens=length).tokens == expected
    assert len(graphs) == 1


@pytest.fixture
def as_traced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Graphs are run as dynamo traced them."""
    torch.compiler.reset()
    monkeypatch.setattr(
        "torch._inductor.compile_fx.compile_fx", lambda graph, given, config_patches: graph.forward
    )


PIPES = {
    "greedy": Pipeline(),
    "drawn": Pipeline().with_strategy("sample"),
    "beam": Pipeline().with_strategy("beam", num_beams=3),  # whose rows are taken anew
}


@pytest.mark.parametrize("pipe", PIPES.values(), ids=PIPES)
def test_texts_one_after_another_are_those_of_the_loop(pipe: Pipeline, as_traced: None) -> None:
    """Of more rows, in more room, and of the first kind again."""
    torch.manual_seed(0)
    model = Steady()
    plain = Decoder(model, pipe, max_length=200, **FACTS)
    compiled = Decoder(model, pipe, compile="full", max_length=200, **FACTS)
    for length, rows, new in ((3, 1, 12), (5, 2, 12), (90, 1, 60), (3, 1, 12)):
        prompts = [[n * (row + 2) % VOCAB for n in range(1, length + 1)] for row in range(rows)]
        expected = plain.generate(prompts, max_new_tokens=new, seed=4)
        assert compiled.generate(prompts, max_new_tokens=new, seed=4).tokens == expected.tokens


def test_a_cache_that_grows_is_written_where_it_is_now(as_traced: None) -> None:
    torch.manual_seed(0)
    model = Steady()
    answers = []
    for compile_it in ("none", "full"):
        decodable = Decoder(model, compile=compile_it, max_length=400, **FACTS).model
        session = decodable.open(1, 120)
        ids = torch.arange(300).remainder(VOCAB).unsqueeze(0)
        logits = [session.prefill(ids[:, :100])]
        logits += [session.step(ids[:, n : n + 1])[:, -1] for n in range(100, 300)]
        session.rewind(torch.tensor([150]))
        logits += [session.step(ids[:, n : n + 1])[:, -1] for n in range(150, 180)]
        session.close()
        answers.append(torch.cat(logits))
    assert torch.equal(*answers)


def test_torch_looks_at_the_module_once_a_text(as_traced: None, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    calls: list[object] = []
    heard = Compiled.heard
    monkeypatch.setattr(
        Compiled, "heard", lambda self, *given, **named: (calls.append(1), heard(self, *given, **named))[1]
    )
    decoder = Decoder(Steady(), compile="full", **FACTS)
    for texts in (1, 2):
        decoder.generate([[1, 2, 3]], max_new_tokens=12)
        assert len(calls) == texts


def test_a_hook_sees_every_token(as_traced: None) -> None:
    torch.manual_seed(0)
    model, seen = Steady(), list[int]()
    decoder = Decoder(model, compile="full", **FACTS)
    model.register_forward_hook(lambda module, given, answer: seen.append(given[0].shape[1]))
    decoder.generate([[1, 2, 3]], max_new_tokens=5)
    assert seen == [3, 1, 1, 1, 1]


class Failing(Steady):
    fails = False

    def forward(self, x: Tensor, input_pos: Tensor) -> Tensor:
        if self.fails and x.shape[1] == 1:
            raise ValueError("not today")
        return super().forward(x, input_pos)


def test_what_goes_wrong_inside_is_said_of_the_model(as_traced: None) -> None:
    model = Failing()
    decoder = Decoder(model, compile="full", **FACTS)
    model.fails = True
    with pytest.raises(ModelError, match=r"^Failing\(x, input_pos\) failed on .*not today"):
        decoder.generate([[1, 2, 3]], max_new_tokens=5)


def test_a_text_that_fills_the_context_is_compiled_for_as_it_is(graphs: list[GraphModule]) -> None:
    torch.manual_seed(0)
    lengths: list[int] = []

    class Noted(Steady):
        def setup_caches(self, max_batch_size: int, max_seq_length: int) -> None:
            lengths.append(max_seq_length)
            super().setup_caches(max_batch_size, max_seq_length)

    model = Noted()
    compiled = Decoder(model, compile="full", max_length=12, **FACTS)
    plain = Decoder(model, max_length=12, **FACTS)
    found = compiled.generate([[1, 2, 3]], max_new_tokens=9)
    assert found.tokens == plain.generate([[1, 2, 3]], max_new_tokens=9).tokens
    assert len(graphs) == 1
    assert max(lengths) == 12


def test_what_cannot_be_compiled_runs_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(graph: GraphModule, given: list[Tensor]) -> Callable[..., Any]:
        raise RuntimeError("no working compiler here")

    compile_it = torch.compile
    torch.compiler.reset()
    monkeypatch.setattr(torch, "compile", lambda model, **_: compile_it(model, dynamic=False, backend=refuse))
    torch.manual_seed(0)
    model = Steady()
    expected = Decoder(model, **FACTS).generate([[1, 2, 3]], max_new_tokens=6).tokens
    decoder = Decoder(model, compile="full", **FACTS)
    with pytest.warns(
        RuntimeWarning, match="Steady could not be compiled and runs as it is.*no working"
    ) as told:
        assert decoder.generate([[1, 2, 3]], max_new_tokens=6).tokens == expected
    assert len(told) == 1
    assert decoder.generate([[1, 2, 3]], max_new_tokens=6).tokens == expected  # without a word
