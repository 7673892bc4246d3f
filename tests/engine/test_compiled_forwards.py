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

from decodery import Decoder

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
