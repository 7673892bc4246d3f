"""Defects that a review found, each held as a claim."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from decodery import Decoder, Generation, Pipeline, hookimpl
from decodery.contracts.errors import DecoderyError
from decodery.contracts.specs import StepSpec, StrategySpec
from decodery.engine.run.run import Run
from decodery.host.loader import PluginInfo
from decodery.host.registry import Host
from decodery.testing import ScriptedModel, TableModel

VOCAB = 24


class Script:
    act: Callable[[Run], None]

    def decode(self, run: Run) -> None:
        type(self).act(run)


class KeepsTheMethod:
    def __init__(self, *, rng: Any) -> None:
        self.draw = rng.uniform

    def observe(self, tokens: Tensor, active: Tensor) -> None: ...

    def select(self, rows: Tensor) -> None: ...

    def rewind(self, counts: Tensor) -> None: ...

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        return scores + self.draw("shake").unsqueeze(-1).float()  # (1,) -> (1, 1)


@hookimpl
def provide_strategies() -> list[StrategySpec]:
    return [StrategySpec("script", Script)]


@hookimpl
def provide_steps() -> list[StepSpec]:
    return [StepSpec("keeps_the_method", "processor", KeepsTheMethod, needs=frozenset({"rng"}))]


HOST = Host("tests", plugins=[PluginInfo("tests", "0", __name__)])


def perform(
    act: Callable[[Run], None], prompts: list[list[int]], pipe: Pipeline | None = None, **arguments: Any
) -> Generation:
    Script.act = staticmethod(act)
    base = pipe or Pipeline(host=HOST).stop("max_new_tokens", 40)
    ours = Pipeline(host=HOST, processors=base.processors, stops=base.stops).with_strategy("script")
    return Decoder(TableModel(VOCAB), ours, vocab_size=VOCAB, host=HOST).generate(
        prompts, **{"seed": 1, **arguments}
    )


def test_scores_that_were_looked_at_before_a_select_are_recorded_in_the_rows_they_went_to() -> None:
    """A beam search scores, selects parents, appends: in that order."""

    def act(run: Run) -> None:
        run.scores()
        run.select(torch.tensor([1, 0]))
        run.append(run.scores().argmax(-1), stop=False)

    gen = perform(act, [[1], [2]], return_scores=True, logprobs=0)
    assert gen.scores is not None
    assert [scores.argmax(-1).tolist() for scores in gen.scores] == gen.tokens


def test_more_rows_than_were_scored_can_be_recorded() -> None:
    def act(run: Run) -> None:
        run.scores()
        run.select(torch.tensor([0, 0]))
        run.append(run.scores().argmax(-1), stop=False)
        run.select(torch.tensor([0]))

    perform(act, [[1]], return_scores=True)


def test_forks_of_forks_draw_apart_though_nothing_was_appended_between() -> None:
    def act(run: Run) -> None:
        run.logits()
        run.select(torch.tensor([0, 0]))
        run.select(torch.tensor([0, 1, 0]))
        assert len(set(run.uniform("draw").tolist())) == 3
        run.select(torch.tensor([0]))

    perform(act, [[1]])


def test_a_fork_after_a_rewind_draws_apart_from_the_fork_before_it() -> None:
    def act(run: Run) -> None:
        run.logits()
        run.select(torch.tensor([0, 0]))
        run.append(run.logits().argmax(-1), stop=False)
        run.rewind(torch.tensor([1, 1]))
        run.logits()
        run.select(torch.tensor([0, 1, 0]))
        assert len(set(run.uniform("draw").tolist())) == 3
        run.select(torch.tensor([0]))

    perform(act, [[1]])


def test_process_serves_every_row_or_refuses_whenever_it_is_called() -> None:
    def act(run: Run) -> None:
        assert run.process(torch.zeros(2, VOCAB))[:, 0].tolist() == [1, 1]

    perform(act, [[1], [2]], Pipeline().add(lambda ids, scores: scores + 1).stop("max_new_tokens", 3))


def test_asking_a_finished_run_for_logits_is_an_error_of_ours() -> None:
    def act(run: Run) -> None:
        run.append(run.logits().argmax(-1))
        run.logits()

    with pytest.raises(DecoderyError):
        perform(act, [[1]], Pipeline().stop("max_new_tokens", 1))


def test_an_object_may_have_attributes_called_limit_and_strings() -> None:
    class Mine:
        limit, strings = 3, None

        def __call__(self, input_ids: Tensor, scores: Tensor) -> bool:
            return input_ids.shape[1] >= self.limit

    class Letters:
        vocab_size = VOCAB

        def encode(self, text: str) -> list[int]:
            return [1]

        def decode(self, ids: list[int]) -> str:
            return "".join(chr(97 + token) for token in ids)

    decoder = Decoder(TableModel(VOCAB), Pipeline().stop(Mine()), vocab_size=VOCAB, tokenizer=Letters())
    assert len(decoder.generate([[1]]).tokens[0]) == 2


def test_stop_rules_of_a_bound_pipeline_observe() -> None:
    class Two:
        def __init__(self) -> None:
            self.seen = 0

        def observe(self, tokens: Tensor, active: Tensor) -> None:
            self.seen += 1

        def __call__(self, input_ids: Tensor, scores: Tensor) -> bool:
            return self.seen >= 2

    x = torch.tensor([[1]])
    bound, answers = Pipeline().stop(Two).bind(prompt=x), []
    for token in (3, 4):
        bound(x, torch.zeros(1, VOCAB))
        x = torch.cat((x, torch.tensor([[token]])), dim=1)
        answers += bound.stopped(x, torch.zeros(1, VOCAB)).tolist()
    assert answers == [False, True]


def test_a_stream_opened_in_inference_mode_can_be_read_outside_it() -> None:
    decoder = Decoder(TableModel(VOCAB), vocab_size=VOCAB)
    with torch.inference_mode():
        stream = decoder.stream([[1]], max_new_tokens=3)
    assert len(list(stream)) == 3


def test_a_step_may_keep_the_method_it_draws_with() -> None:
    def act(run: Run) -> None:
        run.logits()
        zeros = torch.zeros(2, VOCAB)
        before = run.process(zeros)[:, 0]
        run.select(torch.tensor([1, 0]))
        assert torch.equal(run.process(zeros)[:, 0], before[[1, 0]])
        run.append(torch.tensor([3, 4]), stop=False)
        run.logits()
        assert not torch.equal(run.process(zeros)[:, 0], before[[1, 0]])

    perform(act, [[1], [2]], Pipeline(host=HOST).add("keeps_the_method").stop("max_new_tokens", 9))


NET = nn.Linear(1, 1)


class InAMethod:
    def __init__(self) -> None:
        self.part = NET.forward

    def net(self) -> Any:
        return self.part.__self__


class InAPartial(InAMethod):
    def __init__(self) -> None:
        self.part = functools.partial(NET)

    def net(self) -> Any:
        return self.part.func


class InOneSlot:
    __slots__ = "part"  # noqa: PLC0205

    def __init__(self) -> None:
        self.part = NET

    def net(self) -> Any:
        return self.part


class InAPrivateSlot:
    __slots__ = ("__part",)

    def __init__(self) -> None:
        self.__part = NET

    def net(self) -> Any:
        return self.__part


@pytest.mark.parametrize("kind", [InAMethod, InAPartial, InOneSlot, InAPrivateSlot])
def test_a_model_is_shared_wherever_a_processor_keeps_it(kind: type) -> None:
    seen: set[int] = set()

    def call(self: Any, input_ids: Tensor, scores: Tensor) -> Tensor:
        seen.add(id(self.net()))
        return scores

    made = type(kind.__name__, (kind,), {"__call__": call, "__slots__": ()})()
    Decoder(TableModel(VOCAB), Pipeline().add(made), vocab_size=VOCAB).generate([[1], [2]], max_new_tokens=1)
    assert seen == {id(NET)}


def test_finished_rows_keep_no_scores_of_the_others_alive() -> None:
    from decodery.engine.io.recorders import ScoreRecorder

    recorder = ScoreRecorder(100)
    for _ in range(3):
        recorder.on_scores(torch.zeros(100, VOCAB), torch.zeros(100, VOCAB), torch.arange(100) == 7)
        recorder.on_tokens(torch.zeros(100, dtype=torch.int64), torch.arange(100) == 7, [None] * 100)
    assert sum(scores.untyped_storage().nbytes() for scores in recorder.rows[7]) == 3 * VOCAB * 4


def test_a_long_prompt_beside_a_short_one_is_fed_in_a_few_calls_to_a_model_that_answers_for_the_last_position() -> (
    None
):
    table, calls = TableModel(VOCAB), 0

    def model(x: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return table(x)[:, -1:]

    decoder = Decoder(model, vocab_size=VOCAB, adapter="stateless")
    decoder.generate([[1], list(range(VOCAB)) * 5], max_new_tokens=3)
    assert calls < 20


def test_text_is_without_the_stop_string_whichever_rule_comes_first() -> None:
    class Letters:
        vocab_size = VOCAB

        def encode(self, text: str) -> list[int]:
            return [ord(letter) - 97 for letter in text]

        def decode(self, ids: list[int]) -> str:
            return "".join(chr(97 + token) for token in ids)

    script = torch.zeros(4, VOCAB)
    script[range(4), range(4)] = 9.0
    pipe = Pipeline().stop("max_new_tokens", 4).stop("stop_strings", ["cd"])
    gen = Decoder(ScriptedModel(script), pipe, vocab_size=VOCAB, tokenizer=Letters()).generate([[1]])
    assert gen.texts == ["ab"]
