"""What cannot be meant is refused with its place, its value and a remedy; never a bare error of Python or torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers.generation.logits_process import PrefixConstrainedLogitsProcessor, TopKLogitsWarper

from decodery import Decoder, DecoderyError, Pipeline, Recipe
from decodery.contracts.errors import BadRow, PluginError
from decodery.testing import TableModel

VOCAB = 40
X = torch.tensor([[1, 2], [3, 4]])


def decoder(pipe: Pipeline | None = None, **arguments: Any) -> Decoder:
    return Decoder(TableModel(VOCAB), pipe, vocab_size=VOCAB, **arguments)


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "float tensor in a list": (
        lambda: decoder().generate([torch.tensor([1.7, 2.2])]),
        "prompt 0 is a torch.float32",
    ),
    "bool tensor in a list": (lambda: decoder().generate([torch.tensor([True])]), "prompt 0 is a torch.bool"),
    "batch in a list": (
        lambda: decoder().generate([X, torch.tensor([7])]),
        r"prompt 0 is a .* shape \(2, 2\)",
    ),
    "bytes": (lambda: decoder().generate(b"abc"), "prompts are a bytes"),
    "bytes in a list": (lambda: decoder().generate([b"abc"]), "prompt 0 is b'abc'"),
    "observers": (lambda: decoder().generate([[1]], observers=5), "observers = 5"),  # type: ignore[arg-type]
    "no observer": (lambda: decoder().generate([[1]], observers=[1]), "observer int wants None"),  # type: ignore[list-item]
    "models": (lambda: decoder(models=5), "models is a int"),
    "role prompts": (
        lambda: decoder().generate([[1]], role_prompts=[[1]]),  # type: ignore[arg-type]
        "role_prompts is a list",
    ),
    "seeds": (lambda: decoder().generate([[1]], seeds=3), "seeds = 3"),  # type: ignore[arg-type]
    "both seeds": (lambda: decoder().generate([[1]], seed=1, seeds=[1]), "both given"),
    "seed of a strategy": (lambda: Pipeline().with_strategy("sample", seed="a"), "seed 'a'"),  # type: ignore[arg-type]
    "seed of a bind": (lambda: Pipeline().bind(X, seed=2**70), "is no seed"),
    "bind of a list": (lambda: Pipeline().bind([1, 2]), "the prompt is list"),  # type: ignore[arg-type]
    "bind of floats": (lambda: Pipeline().bind(X.float()), "the prompt is torch.float32"),
    "bind of three dimensions": (lambda: Pipeline().bind(X[None]), r"\(1, 2, 2\)"),
    "eos": (lambda: decoder(eos_token_id="a"), "token id 'a'"),
    "eos outside": (lambda: decoder(eos_token_id=VOCAB), f"eos_token_id = {VOCAB} is outside"),
    "pad outside": (lambda: decoder(pad_token_id=VOCAB), f"pad_token_id = {VOCAB} is outside"),
    "pad below": (lambda: decoder(pad_token_id=-1), "pad_token_id is -1"),
    "two pads": (lambda: decoder(pad_token_id=[1, 2]), r"pad_token_id is \[1, 2\]"),  # type: ignore[arg-type]
    "no adapter": (lambda: decoder(adapter=None), "adapter = None"),
    "a value twice": (lambda: Pipeline().add("top_p", 0.5, p=0.4), "'top_p' is given 0.5 and p=0.4"),
    "a value and its alias": (lambda: Pipeline().add("top_p", 0.5, top_p=0.4), "the same parameter"),
    "a place that is not there": (lambda: Pipeline().add("top_p", 0.5, at=7), "at = 7"),
    "no place": (lambda: Pipeline().add("top_p", 0.5, at="end"), "at = 'end'"),  # type: ignore[arg-type]
    "recipe of a number": (lambda: Recipe.load(5), "not by a int"),  # type: ignore[arg-type]
    "device": (lambda: decoder(device="xpuu"), "device 'xpuu'"),
    "recipe": (lambda: decoder(5), "the recipe is a int"),  # type: ignore[arg-type]
    "recipe text": (lambda: decoder("recipe: 1\nstrategy: greedy\n"), r"Recipe\.loads"),  # type: ignore[arg-type]
    "on_bad_row": (lambda: Pipeline().with_options(on_bad_row="raise"), "on_bad_row = 'raise'"),  # type: ignore[arg-type]
    "include_stop": (lambda: Pipeline().with_options(include_stop="no"), "include_stop = 'no'"),  # type: ignore[arg-type]
    "no step": (lambda: Pipeline().add(None), "None is no processor"),
    "place": (lambda: Pipeline().add("top_k", 4).drop("top_k#²"), "does not name one step"),
    "huge number": (lambda: Pipeline().stop("max_new_tokens", 10**20), "too large a number"),
    "no vocabulary": (lambda: Pipeline().pick(X, torch.zeros(2, 0)), "do not belong together"),
    "raising step": (
        lambda: decoder(Pipeline().add(lambda i, s: 1 / 0)).generate([[1]]),
        "lambda' failed on ids",
    ),
    "one argument": (
        lambda: decoder(Pipeline().add(lambda s: s)).generate([[1]]),
        "lambda' cannot be called with .*too many positional arguments",
    ),
    "three arguments": (
        lambda: decoder(Pipeline().add(lambda i, s, beam: s)).generate([[1]]),
        "lambda' cannot be called with .*missing a required argument: 'beam'",
    ),
    "raising rule": (
        lambda: decoder(Pipeline().stop(lambda i, s: 1 / 0)).generate([[1]]),
        "stop 'lambda' failed",
    ),
    "rule without an answer": (
        lambda: decoder(Pipeline().stop(lambda i, s: None)).generate([[1]]),
        "answered None",
    ),
    "a mask for scores": (
        lambda: Pipeline().add(lambda i, s: s > 0)(X, torch.ones(2, VOCAB)),
        r"turned torch.float32 scores into torch.bool",
    ),
    "two devices": (
        lambda: Pipeline().add("repetition_penalty", 1.2).pick(X, torch.ones(2, VOCAB, device="meta")),
        "input_ids are on cpu and logits on meta",
    ),
    "ids in a list": (lambda: Pipeline().pick([1], torch.ones(VOCAB)), "input_ids are list"),  # type: ignore[arg-type]
    "ids that are no whole numbers": (
        lambda: Pipeline().pick(X.float(), torch.ones(2, VOCAB)),
        "input_ids are torch.float32",
    ),
    "a class without its parameters": (
        lambda: Pipeline().add(TopKLogitsWarper),
        "TopKLogitsWarper cannot be built of nothing: .*'top_k'",
    ),
    "a class unbound": (
        lambda: Pipeline().add(Biased, by=3)(X, torch.ones(2, VOCAB)),
        r"Biased was added as a class(.|\n)*stateless=True",
    ),
    "a prompt without room": (
        lambda: decoder(Pipeline().stop("max_length", 3)).generate([[1, 2], [1, 2, 3]]),
        "row 1: its prompt has 3 tokens, and 'max_length' ends a row at 3",
    ),
    "place in the batch": (
        lambda: decoder(Pipeline().add(PrefixConstrainedLogitsProcessor(lambda b, i: [b], 1))).generate(
            [[1], [2]]
        ),
        "place in the batch",
    ),
    "place in the batch, whatever is vouched for": (
        lambda: decoder(
            Pipeline().add(PrefixConstrainedLogitsProcessor(lambda b, i: [b], 1), stateless=True)
        ).generate([[1], [2, 3]]),
        "place in the batch",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_it_is_refused_in_words(case: str) -> None:
    act, message = REFUSED[case]
    with pytest.raises(DecoderyError, match=message):
        act()


def test_numbers_of_numpy_and_torch_are_numbers() -> None:
    pipe = Pipeline().add("top_k", np.int64(8)).add("temperature", torch.tensor(0.5))
    assert pipe == Pipeline().add("top_k", 8).add("temperature", 0.5)
    gen = decoder(pipe.with_strategy("sample"), eos_token_id=np.int64(2)).generate(
        np.array([[3, 4], [5, 6]]), seed=np.int64(3), max_new_tokens=2
    )
    assert [row.prompt for row in gen] == [(3, 4), (5, 6)]
    ends = decoder(eos_token_id=torch.tensor([2, 3])).generate([[4]], max_new_tokens=40)
    assert ends.tokens == decoder(eos_token_id=[2, 3]).generate([[4]], max_new_tokens=40).tokens
    assert decoder().generate([np.array([3, 4]), [np.int64(5)]], max_new_tokens=1)[1].prompt == (5,)


@pytest.mark.parametrize("answer", [[False], np.array([False]), np.bool_(False), torch.tensor(False), 0])
def test_a_rule_may_answer_in_any_form_of_false(answer: object) -> None:
    pipe = Pipeline().stop(lambda ids, scores: answer).stop("max_new_tokens", 5)
    assert decoder(pipe).generate([[1]]).finish_reasons == ["length"]
    assert decoder(pipe.compat("hf")).generate([[1], [2]]).finish_reasons == (["length"] * 2)


@pytest.mark.parametrize(
    "chosen", [torch.tensor([999]), torch.tensor([[1]]), torch.tensor([1.0]), [1], torch.tensor([1, 2])]
)
def test_a_strategy_that_chooses_nonsense_is_named(chosen: object) -> None:
    from decodery.engine.run.choice import checked_tokens

    with pytest.raises(PluginError, match="strategy 'Odd' chose"):
        checked_tokens(chosen, torch.zeros(1, VOCAB), "Odd")
    assert checked_tokens(torch.tensor([3]), torch.zeros(1, VOCAB), "Odd").tolist() == [3]


class Biased:
    def __init__(self, by: Tensor) -> None:
        self.by = by

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        return scores + self.by


class ThirdTime:
    """Counts its calls, as processors of transformers do, and poisons the third."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        self.calls += 1
        return scores * float("nan") if self.calls == 3 else scores


@pytest.mark.parametrize("compat", [None, "hf"])
def test_poison_that_cannot_be_repeated_is_not_blamed_on_the_innocent(compat: Any) -> None:
    pipe = Pipeline().add(ThirdTime).add("top_k", 5).compat(compat)
    with pytest.raises(BadRow, match=r"step 2: .* after 'third_time'") as caught:
        decoder(pipe).generate([[1, 2]])
    assert caught.value.processor == "third_time"


class AfterThree:
    """A rule that keeps state."""

    def __init__(self) -> None:
        self.seen = 0

    def observe(self, tokens: Tensor, active: Tensor) -> None:
        self.seen += int(active.sum())

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        return torch.full((len(input_ids),), self.seen >= 3)


def test_a_rule_that_keeps_state_works_in_an_own_loop() -> None:
    pipe = Pipeline().stop(AfterThree)
    expected = decoder(pipe).generate([[1, 2]]).tokens[0]
    bound, x = pipe.bind(prompt=torch.tensor([[1, 2]])), torch.tensor([[1, 2]])
    model, stopped = TableModel(VOCAB), []
    for _ in expected:
        x = torch.cat((x, bound.pick(x, model(x)[:, -1]).unsqueeze(1)), dim=1)
        stopped.append(bool(bound.stopped(x, torch.zeros(1, VOCAB))))
    assert (x[0, 2:].tolist(), stopped) == (expected, [False, False, True])
    with pytest.raises(DecoderyError, match="bind again"):
        bound.stopped(torch.ones(3, 9, dtype=torch.int64), torch.zeros(3, VOCAB))


def test_a_stream_can_be_ended_on_purpose() -> None:
    with decoder().stream([[1]], max_new_tokens=9) as stream:
        next(stream)
    assert list(stream) == []
    assert stream.result.finish_reasons == ["interrupted"]


def test_results_and_pipelines_with_tensors_inside_compare() -> None:
    first, second = (decoder().generate([[1]], max_new_tokens=2, return_scores=True) for _ in range(2))
    assert first != second
    ones = torch.ones(2)
    assert Pipeline().add(Biased, by=ones) == Pipeline().add(Biased, by=ones)
    assert Pipeline().add(Biased, by=ones) != Pipeline().add(Biased, by=torch.ones(2))
