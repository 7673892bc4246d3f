"""A caller keeps the loop: the memo's snippet beside `Pipeline`."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from transformers.generation.utils import (
    LogitsProcessorList,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from decodery import Pipeline
from decodery.contracts.errors import BadRow, InvalidInput, NeedsBind
from decodery.testing import TableModel

VOCAB = 200
TABLE = TableModel(VOCAB)


def model(x: Tensor, input_pos: Tensor) -> Tensor:
    """A home-grown architecture's signature."""
    return TABLE(x)


def the_memo(x: Tensor, input_pos: Tensor, greedy: bool = False) -> tuple[Tensor, Tensor]:
    """The memo's snippet, as it stands there."""
    repetition_penalty, temperature, top_p, top_k = 1.1, 0.8, 0.95, 50
    logits_processor = LogitsProcessorList([RepetitionPenaltyLogitsProcessor(repetition_penalty)])
    logits_wraper = LogitsProcessorList(
        [
            TemperatureLogitsWarper(temperature),
            TopPLogitsWarper(top_p),
            TopKLogitsWarper(top_k),
        ]
    )
    logits = model(x, input_pos)
    logits = logits[:, -1, :]
    next_token_scores = logits_processor(x, logits)
    next_token_scores = logits_wraper(x, next_token_scores)
    next_token_scores = next_token_scores.squeeze(0)
    if greedy:
        return next_token_scores, next_token_scores.argmax(dim=-1, keepdim=True)
    probs = torch.nn.functional.softmax(next_token_scores, dim=-1)
    return next_token_scores, torch.multinomial(probs, num_samples=1)


PIPE = Pipeline().add("repetition_penalty", 1.1).add("temperature", 0.8).add("top_p", 0.95).add("top_k", 50)


@pytest.mark.parametrize("greedy", [False, True])
def test_the_memos_loop_and_the_pipeline_give_the_same_scores_and_tokens(greedy: bool) -> None:
    pipe = PIPE.compat("hf").with_strategy("greedy" if greedy else "sample")
    x = torch.tensor([[20, 15, 1, 112]])
    torch.manual_seed(0)
    memo = []
    for _ in range(60):
        scores, token = the_memo(x, torch.arange(x.shape[1]), greedy)
        memo.append((scores, int(token)))
        x = torch.cat((x, token.view(1, 1)), dim=1)
    x = torch.tensor([[20, 15, 1, 112]])
    torch.manual_seed(0)
    for scores, token in memo:
        logits = model(x, torch.arange(x.shape[1]))[:, -1, :]
        assert torch.equal(pipe(x, logits).squeeze(0), scores)
        picked = pipe.pick(x, logits)
        assert picked.tolist() == [token]
        x = torch.cat((x, picked.view(1, 1)), dim=1)


def test_one_dimension_is_enough() -> None:
    x, logits = torch.tensor([3, 9]), torch.randn(VOCAB)
    assert PIPE(x, logits).shape == (VOCAB,)
    assert torch.equal(PIPE(x, logits), PIPE(x.unsqueeze(0), logits.unsqueeze(0))[0])
    assert PIPE.with_strategy("sample", seed=1).pick(x, logits).shape == (1,)


def test_three_dimensions_get_the_remedy() -> None:
    with pytest.raises(InvalidInput, match=r"logits\[:, -1\]"):
        PIPE(torch.tensor([[3, 9]]), torch.randn(1, 2, VOCAB))


@pytest.mark.parametrize(
    ("ids", "logits"),
    [
        (torch.tensor([[1]]), torch.zeros(2, 9)),
        (torch.tensor([[1.0]]), torch.zeros(1, 9)),
        (torch.tensor([[1]]), torch.zeros(1, 9, dtype=torch.int64)),
    ],
)
def test_what_does_not_belong_together_is_refused(ids: Tensor, logits: Tensor) -> None:
    with pytest.raises(InvalidInput):
        PIPE(ids, logits)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_the_callers_logits_stay_as_they_were_and_halves_are_processed_in_float32(dtype: torch.dtype) -> None:
    logits = torch.randn(2, VOCAB).to(dtype)
    before = logits.clone()
    scores = PIPE(torch.tensor([[1, 2], [3, 4]]), logits)
    assert torch.equal(logits, before)
    assert scores.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)


def test_any_object_with_hfs_signature_can_be_added_as_it_is() -> None:
    x, logits = torch.tensor([[3, 9, 3]]), torch.randn(1, VOCAB)
    pipe = (
        Pipeline().add(LogitsProcessorList([RepetitionPenaltyLogitsProcessor(1.1)])).add(TopKLogitsWarper(7))
    )
    expected = TopKLogitsWarper(7)(x, RepetitionPenaltyLogitsProcessor(1.1)(x, logits))
    assert torch.equal(pipe(x, logits), expected)

    def shift(input_ids: Tensor, scores: Tensor) -> Tensor:
        scores += 1.0  # in place, as careless ones do
        return scores

    kept = logits.clone()
    assert torch.equal(Pipeline().add(shift)(x, logits), kept + 1)
    assert torch.equal(logits, kept)


def test_a_class_or_a_step_with_facts_asks_for_bind_and_works_bound() -> None:
    x, logits = torch.tensor([[3, 9, 3]]), torch.randn(1, VOCAB)

    class Seven(TopKLogitsWarper):
        """May keep anything."""

    classy = Pipeline().add(Seven, top_k=7)
    with pytest.raises(NeedsBind, match="Seven was added as a class"):
        classy(x, logits)
    for known in (Pipeline().add(Seven, top_k=7, stateless=True), Pipeline().add(TopKLogitsWarper, top_k=7)):
        assert torch.equal(known(x, logits), TopKLogitsWarper(7)(x, logits))
    assert torch.equal(classy.bind(prompt=x)(x, logits), TopKLogitsWarper(7)(x, logits))
    needy = Pipeline().add("min_new_tokens", 2)
    with pytest.raises(NeedsBind, match="min_new_tokens"):
        needy(x, logits)
    bound = needy.bind(prompt=x, eos_token_id=4)
    assert bound(x, logits)[0, 4] == -torch.inf
    grown = torch.cat((x, torch.tensor([[1, 2]])), dim=1)
    assert torch.equal(bound(grown, logits), logits)


class Counting:
    """Counts what it observes."""

    def __init__(self) -> None:
        self.seen: list[int] = []

    def observe(self, tokens: Tensor, active: Tensor) -> None:
        self.seen += tokens.tolist()

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        return scores + len(self.seen)


def test_a_bound_pipeline_observes_what_the_caller_appended_not_its_own_draw() -> None:
    original = Counting()
    pipe = Pipeline().add(original)
    with pytest.raises(NeedsBind, match="counting"):
        pipe(torch.tensor([[1]]), torch.zeros(1, 5))
    x, logits = torch.tensor([[1, 2]]), torch.zeros(1, 5)
    bound = pipe.bind(prompt=x)
    assert bound(x, logits).max() == 0
    x = torch.cat((x, torch.tensor([[4, 3, 3]])), dim=1)
    assert bound(x, logits).max() == 3
    assert bound(x, logits).max() == 3
    assert original.seen == []
    assert pipe.bind(prompt=x)(x, logits).max() == 0
    with pytest.raises(InvalidInput, match="bind again"):
        bound(x[:, :2], logits)


def test_an_unbound_draw_follows_from_seed_row_and_length() -> None:
    pipe = Pipeline().with_strategy("sample", seed=3)
    logits = torch.zeros(64, VOCAB)
    x = torch.ones(64, 4, dtype=torch.int64)
    first = pipe.pick(x, logits)
    assert torch.equal(pipe.pick(x, logits), first)
    assert len(set(first.tolist())) > 30  # equal rows, another number each
    assert torch.equal(pipe.pick(x[:5], logits[:5]), first[:5])
    longer = pipe.pick(torch.ones(64, 5, dtype=torch.int64), logits)
    assert (longer != first).sum() > 50
    assert (pipe.with_strategy("sample", seed=4).pick(x, logits) != first).sum() > 50


def test_a_bound_pick_is_the_decoders_own_draw() -> None:
    from decodery import Decoder

    pipe = PIPE.with_strategy("sample", seed=3)
    prompt = torch.tensor([[20, 15, 1]])
    expected = Decoder(TABLE, pipe, vocab_size=VOCAB).generate(prompt, max_new_tokens=12).tokens[0]
    bound, x = pipe.bind(prompt=prompt), prompt
    for token in expected:
        picked = bound.pick(x, TABLE(x)[:, -1])
        assert picked.tolist() == [token]
        x = torch.cat((x, picked.view(1, 1)), dim=1)
    assert bound.stopped(x, torch.zeros(1, VOCAB)).tolist() == [False]


@pytest.mark.parametrize("step", [("repetition_penalty", 1.2), ("no_repeat_ngram", 2)])
@pytest.mark.parametrize("wrong", [-1, VOCAB, VOCAB + 7])
def test_ids_of_another_vocabulary_are_refused_where_a_step_reads_them(step: Any, wrong: int) -> None:
    x, logits = torch.tensor([[1, 2, 3], [1, wrong, 3]]), torch.randn(2, VOCAB)
    pipe = Pipeline().add(*step).with_strategy("sample", seed=1)
    for _ in range(2):  # what was refused once is refused again
        for call in (pipe, pipe.pick, pipe.bind(x), pipe.bind(x, vocab_size=VOCAB).pick):
            with pytest.raises(
                InvalidInput, match=rf"row 1, token 1: id {wrong} is outside the vocabulary of {VOCAB}\b"
            ):
                call(x, logits)
    assert Pipeline().add("top_k", 3).pick(x, logits).shape == (2,)  # nothing reads them
    larger = VOCAB + 8  # an embedding may be larger than the output layer
    if wrong > 0:
        assert pipe.bind(x, vocab_size=larger).pick(x, logits).shape == (2,)


@pytest.mark.parametrize("strategy", ["greedy", "sample"])
def test_poison_in_an_own_loop_is_named(strategy: str) -> None:
    logits = torch.zeros(2, 6)
    logits[1, 3] = float("nan")
    with pytest.raises(BadRow, match="row 1, step 2: NaN scores after 'model'") as caught:
        Pipeline().with_strategy(strategy).pick(torch.tensor([[1, 2], [1, 2]]), logits)
    assert "stop_row" not in caught.value.remedy  # a pick has no row to end


class EveryOther:
    """Chooses the best token and the second best in turn."""

    def __init__(self) -> None:
        self.told = 0

    def observe(self, tokens: Tensor, active: Tensor) -> None:
        self.told += 1

    def choose(self, scores: Tensor, rng: Any) -> Tensor:
        return scores.topk(2).indices[:, self.told % 2]


def test_a_strategy_that_keeps_state_asks_for_bind() -> None:
    x, logits = torch.tensor([[1]]), torch.arange(6.0).view(1, 6)
    pipe = Pipeline().with_strategy(EveryOther)
    with pytest.raises(NeedsBind, match="'every_other' keeps state from one pick to the next"):
        pipe.pick(x, logits)
    bound, picked = pipe.bind(x), []
    for _ in range(3):
        picked.append(int(bound.pick(x, logits)))
        x = torch.cat((x, x[:, -1:]), dim=1)
    assert picked == [5, 4, 5]
