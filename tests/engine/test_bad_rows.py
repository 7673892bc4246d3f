"""Poison is named: row, step and processor; with stop_row the others finish untouched."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from decodery import Decoder, Pipeline
from decodery.contracts.errors import BadRow, PluginError
from decodery.testing import TableModel

VOCAB = 30
PROMPTS = [[1, 2], [9], [4, 4, 4]]


class Poison:
    """After `after` tokens in the row that began with `first`, writes `value` everywhere (or in one place)."""

    def __init__(self, first: int, after: int, value: float, everywhere: bool) -> None:
        self.first, self.after, self.value, self.everywhere = first, after, value, everywhere

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        hit = (input_ids[:, 0] == self.first) & (input_ids.shape[1] >= self.after)
        scores = scores.clone()
        if self.everywhere:
            scores[hit] = self.value
        else:
            scores[hit, 0] = self.value
        return scores


POISONS = {
    "NaN scores": (float("nan"), False),
    "every token is banned": (float("-inf"), True),
    "infinite scores": (float("inf"), False),
}


def _pipe(strategy: str, what: str, compat: str | None = None) -> Pipeline:
    value, everywhere = POISONS[what]
    return (
        Pipeline()
        .add("temperature", 0.9)
        .add(Poison, first=9, after=4, value=value, everywhere=everywhere)
        .add("top_k", 10)
        .with_strategy(strategy, seed=3)
        .compat(compat)
    )


@pytest.mark.parametrize("what", POISONS)
@pytest.mark.parametrize("strategy", ["greedy", "sample"])
def test_row_step_and_processor_are_named(strategy: str, what: str) -> None:
    decoder = Decoder(TableModel(VOCAB), _pipe(strategy, what), vocab_size=VOCAB)
    with pytest.raises(BadRow, match=f"row 1, step 3: {what} after 'poison'") as caught:
        decoder.generate(PROMPTS, max_new_tokens=8)
    assert (caught.value.row, caught.value.step, caught.value.processor) == (1, 3, "poison")
    assert "stop_row" in str(caught.value)


@pytest.mark.parametrize("what", POISONS)
@pytest.mark.parametrize("strategy", ["greedy", "sample"])
def test_stop_row_ends_one_row_and_leaves_the_others_untouched(strategy: str, what: str) -> None:
    pipe = _pipe(strategy, what)
    healthy = Decoder(TableModel(VOCAB), pipe.drop("poison"), vocab_size=VOCAB).generate(
        PROMPTS, max_new_tokens=8
    )
    lenient = Decoder(TableModel(VOCAB), pipe.with_options(on_bad_row="stop_row"), vocab_size=VOCAB)
    sick = lenient.generate(PROMPTS, max_new_tokens=8)
    assert sick.finish_reasons == ["length", "error", "length"]
    assert (sick.tokens[0], sick.tokens[2]) == (healthy.tokens[0], healthy.tokens[2])
    assert sick.tokens[1] == healthy.tokens[1][:3]
    events = list(lenient.stream(PROMPTS, max_new_tokens=8))
    assert [e.finished for e in events if e.row == 1] == [None, None, None, "error"]


@pytest.mark.parametrize("strategy", ["greedy", "sample"])
def test_the_model_is_named_when_its_logits_are_poisoned(strategy: str) -> None:
    table = TableModel(VOCAB)

    def model(x: Tensor) -> Tensor:
        logits = table(x)
        if x.shape[1] == 4:
            logits[0, -1, 7] = float("nan")
        return logits

    pipe = Pipeline().add("top_p", 0.9).with_strategy(strategy, seed=1)
    with pytest.raises(BadRow, match="row 0, step 2: NaN scores after 'model'"):
        Decoder(model, pipe, vocab_size=VOCAB).generate([[1, 2], [3, 4]], max_new_tokens=8)


@pytest.mark.parametrize("what", POISONS)
@pytest.mark.parametrize("strategy", ["greedy", "sample"])
def test_in_hfs_layout_poison_is_named_as_well_and_stop_row_keeps_the_others_draws(
    strategy: str, what: str
) -> None:
    prompts = [[1, 2], [9, 9], [4, 4]]
    pipe = _pipe(strategy, what, "hf")
    with pytest.raises(BadRow, match=f"row 1, step 2: {what} after 'poison'"):
        Decoder(TableModel(VOCAB), pipe, vocab_size=VOCAB).generate(prompts, max_new_tokens=6)
    healthy = Decoder(TableModel(VOCAB), pipe.drop("poison"), vocab_size=VOCAB).generate(
        prompts, max_new_tokens=6
    )
    sick = Decoder(TableModel(VOCAB), pipe.with_options(on_bad_row="stop_row"), vocab_size=VOCAB).generate(
        prompts, max_new_tokens=6
    )
    assert sick.finish_reasons == ["length", "error", "length"]
    assert sick.tokens == [healthy.tokens[0], healthy.tokens[1][:2], healthy.tokens[2]]


def test_a_processor_of_the_wrong_shape_is_named() -> None:
    pipe = Pipeline().add(lambda ids, scores: scores[:, :-1])
    with pytest.raises(PluginError, match="lambda"):
        Decoder(TableModel(VOCAB), pipe, vocab_size=VOCAB).generate(PROMPTS)


def test_everything_poisoned_ends_everything() -> None:
    model = lambda x: torch.full((*x.shape, VOCAB), float("nan"))  # noqa: E731
    pipe = Pipeline().with_options(on_bad_row="stop_row")
    gen = Decoder(model, pipe, vocab_size=VOCAB, adapter="stateless").generate(PROMPTS)
    assert gen.finish_reasons == ["error"] * 3
    assert gen.tokens == [[], [], []]
