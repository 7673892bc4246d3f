"""Observers are asked what they want, and told just that."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from decodery import Decoder, Pipeline
from decodery.contracts.errors import InvalidInput
from decodery.testing import TableModel

VOCAB = 30


class Steps:
    """Counts what each processor changed; would fail if it were told of tokens."""

    wants = frozenset({"steps"})

    def __init__(self) -> None:
        self.changed: list[tuple[str, int]] = []

    def on_step(self, name: str, before: Tensor, after: Tensor, active: Tensor) -> None:
        self.changed.append((name, int((before != after)[active].sum())))

    def on_tokens(self, *_: object) -> None:
        raise AssertionError("not asked for")


class Tokens:
    """Keeps each row's tokens and why it ended."""

    wants = frozenset({"tokens"})

    def __init__(self, rows: int) -> None:
        self.rows: list[list[int]] = [[] for _ in range(rows)]
        self.reasons: list[str | None] = []

    def on_tokens(self, tokens: Tensor, active: Tensor, reasons: Sequence[str | None]) -> None:
        for row in active.nonzero().flatten().tolist():
            self.rows[row].append(int(tokens[row]))
        self.reasons = list(reasons)


def test_an_observer_sees_what_each_processor_changed_and_nothing_else() -> None:
    watcher = Steps()
    pipe = Pipeline().add("top_k", 10).add("top_k", 4)
    Decoder(TableModel(VOCAB), pipe, vocab_size=VOCAB).generate([[1]], max_new_tokens=2, observers=[watcher])
    assert watcher.changed == [("top_k#1", VOCAB - 10), ("top_k#2", 6)] * 2


@pytest.mark.parametrize("compat", [None, "hf"])
def test_an_observer_of_tokens_sees_the_rows_of_the_result(compat: str | None) -> None:
    """Also in transformers' layout, where finished rows go on drawing for nobody to see."""
    prompts = [[1, 2], [3, 4], [5, 6]]
    pipe = Pipeline().with_strategy("sample", seed=2).compat(compat)
    watcher = Tokens(3)
    decoder = Decoder(TableModel(VOCAB), pipe, vocab_size=VOCAB, eos_token_id=[1, 2, 3, 4])
    gen = decoder.generate(prompts, max_new_tokens=20, observers=[watcher])
    assert watcher.rows == gen.tokens
    assert watcher.reasons == gen.finish_reasons
    assert "eos" in gen.finish_reasons


def test_an_observer_that_asks_for_what_it_cannot_be_told_is_refused() -> None:
    class Deaf:
        wants = frozenset({"scores"})

    with pytest.raises(InvalidInput, match="Deaf wants 'scores' and has no on_scores"):
        Decoder(TableModel(VOCAB), vocab_size=VOCAB).generate([[1]], observers=[Deaf()])


class Quiet(Steps):
    """Watches steps, and may be told of tokens."""

    def on_tokens(self, *_: object) -> None: ...


def test_watching_changes_nothing() -> None:
    pipe = Pipeline().add("top_p", 0.9).with_strategy("sample", seed=2)
    decoder = Decoder(TableModel(VOCAB), pipe, vocab_size=VOCAB)
    plain = decoder.generate([[1], [2, 3]], max_new_tokens=9)
    watched = decoder.generate(
        [[1], [2, 3]], max_new_tokens=9, logprobs=3, return_scores=True, observers=[Quiet(), Tokens(2)]
    )
    assert watched.tokens == plain.tokens
    assert watched.scores is not None
    assert all(
        torch.isfinite(scores[range(len(tokens)), tokens]).all()
        for scores, tokens in zip(watched.scores, watched.tokens, strict=True)
    )
