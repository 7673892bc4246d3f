"""What observers are told, and when."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from engine_support import (
    HOST,
    VOCAB,
    perform,
)
from torch import Tensor

from decodery import Decoder, Pipeline
from decodery.engine.run.run import Run
from decodery.testing import TableModel


def test_observers_of_scores_and_steps_are_told_that_finished_rows_are_not_active() -> None:
    """In transformers' layout finished rows go on drawing, for nobody to see."""

    class Masks:
        wants = frozenset({"scores", "steps", "tokens"})

        def __init__(self) -> None:
            self.scores, self.steps, self.tokens = [0, 0], [0, 0], [0, 0]

        def on_scores(self, raw: Tensor, processed: Tensor, active: Tensor) -> None:
            self.scores = [count + int(on) for count, on in zip(self.scores, active, strict=True)]

        def on_step(self, name: str, before: Tensor, after: Tensor, active: Tensor) -> None:
            self.steps = [count + int(on) for count, on in zip(self.steps, active, strict=True)]

        def on_tokens(self, tokens: Tensor, active: Tensor, reasons: Sequence[str | None]) -> None:
            self.tokens = [count + int(on) for count, on in zip(self.tokens, active, strict=True)]

    def model(x: Tensor) -> Tensor:
        logits = torch.zeros(*x.shape, VOCAB)
        logits[0, :, 1], logits[1:, :, 5] = 9.0, 9.0
        return logits

    masks = Masks()
    pipe = Pipeline().compat("hf").add("top_k", 3)
    decoder = Decoder(model, pipe, vocab_size=VOCAB, eos_token_id=1, adapter="stateless")
    gen = decoder.generate([[3], [4]], max_new_tokens=4, observers=[masks])
    assert gen.tokens == [[1], [5] * 4]
    assert masks.scores == masks.steps == masks.tokens == [1, 4]


def test_the_k_best_are_those_that_can_be_drawn_and_no_more_than_there_are() -> None:
    decoder = Decoder(TableModel(VOCAB), Pipeline().add("top_k", 2), vocab_size=VOCAB)
    gen = decoder.generate([[1]], max_new_tokens=1, logprobs=VOCAB + 5)
    assert gen.logprobs is not None
    entry = gen.logprobs[0][0]
    assert (len(entry.top_raw), len(entry.top_processed)) == (VOCAB, 2)
    assert entry.top_processed[0] == (entry.token, pytest.approx(entry.processed))
    assert sum(torch.tensor([value for _, value in entry.top_processed]).exp()) == pytest.approx(1.0)


def test_a_stream_is_the_call_observers_seeds_and_log_probabilities_included() -> None:
    class Count:
        wants = frozenset({"tokens"})
        seen = 0

        def on_tokens(self, tokens: Tensor, active: Tensor, reasons: Sequence[str | None]) -> None:
            self.seen += 1

    pipe = Pipeline().add("temperature", 0.5).with_strategy("sample")
    decoder = Decoder(TableModel(VOCAB), pipe, vocab_size=VOCAB)
    gen = decoder.generate([[1]], seeds=[5], max_new_tokens=6, logprobs=0)
    count = Count()
    events = list(decoder.stream([[1]], seeds=[5], max_new_tokens=6, logprobs=0, observers=[count]))
    assert gen.logprobs is not None
    assert [(e.token, e.logprob) for e in events] == [(e.token, e.processed) for e in gen.logprobs[0]]
    assert count.seen == 6


def test_a_strategy_that_owns_its_loop_can_be_streamed() -> None:
    def act(run: Run) -> None:
        while not run.done:
            run.append(run.logits().argmax(-1))

    expected = perform(act, [[1], [2]], Pipeline().stop("max_new_tokens", 3)).tokens
    pipe = Pipeline(host=HOST).stop("max_new_tokens", 3).with_strategy("script")
    stream = Decoder(TableModel(VOCAB), pipe, vocab_size=VOCAB, host=HOST).stream([[1], [2]])
    rows: list[list[int | None]] = [[], []]
    for event in stream:
        rows[event.row].append(event.token)
    assert rows == expected
