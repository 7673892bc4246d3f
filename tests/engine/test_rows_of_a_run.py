"""Rows that are appended to, reordered, taken back and finished."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from engine_support import (
    HOST,
    VOCAB,
    Observed,
    one_hot,
    perform,
)
from torch import Tensor, nn

from decodery import Decoder, Pipeline
from decodery.contracts.errors import (
    CannotFollow,
    InvalidInput,
    PluginError,
)
from decodery.engine.run.run import Run
from decodery.testing import ScriptedModel, TableModel


def test_a_stop_rule_observes_the_tokens_of_its_own_row_alone() -> None:
    """Also in lockstep, where long prompts are still being fed while short rows generate."""
    pipe = Pipeline().stop(Observed, after=3).stop("max_new_tokens", 9)
    gen = Decoder(TableModel(VOCAB), pipe, vocab_size=VOCAB).generate([[1], [2, 3, 4], [5, 6]])
    assert [len(tokens) for tokens in gen.tokens] == [3, 3, 3]


def test_a_processor_observes_no_token_of_a_prompt_that_is_still_being_fed() -> None:
    class Diary(Observed):
        def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:  # type: ignore[override]
            lengths.append((input_ids.shape[1] - prompts[int(input_ids[0, 0])], self.seen))
            return scores

    lengths: list[tuple[int, int]] = []
    prompts = {1: 1, 2: 3, 5: 2}
    decoder = Decoder(TableModel(VOCAB), Pipeline().add(Diary), vocab_size=VOCAB)
    decoder.generate([[1], [2, 3, 4], [5, 6]], max_new_tokens=4)
    assert len(lengths) == 12
    assert all(generated == seen for generated, seen in lengths)


def test_the_state_of_stop_rules_follows_its_row() -> None:
    def act(run: Run) -> None:
        run.logits()
        run.append(torch.tensor([2, 5]))
        run.rewind(torch.tensor([0, 1]))  # row 0 has observed 1 token, row 1 none
        run.select(torch.tensor([1, 0]))
        run.append(torch.tensor([7, 7]))
        assert run.reasons == [None, None]
        run.append(torch.tensor([7, 7]))
        assert run.reasons == [None, "observed"]
        run.append(torch.tensor([8, 8]))
        assert run.reasons == ["observed", "observed"]

    gen = perform(act, [[1], [2]], Pipeline().stop(Observed, after=3))
    assert gen.tokens == [[7, 7, 8], [2, 7, 7]]


def test_a_stop_rule_that_cannot_follow_is_refused_by_name() -> None:
    class Stubborn:
        def __call__(self, input_ids: Tensor, scores: Tensor) -> bool:
            return False

    def act(run: Run) -> None:
        run.logits()
        with pytest.raises(CannotFollow, match="'stubborn' may keep state"):
            run.select(torch.tensor([0]))

    perform(act, [[1]], Pipeline().stop(Stubborn))


@pytest.mark.parametrize("method", ["add", "stop"])
def test_an_object_that_is_vouched_for_may_be_reordered(method: str) -> None:
    def nothing(input_ids: Tensor, scores: Tensor) -> Any:
        return scores if method == "add" else False

    def act(run: Run) -> None:
        run.logits()
        run.select(torch.tensor([0]))

    perform(act, [[1]], getattr(Pipeline(), method)(nothing, stateless=True))


def test_whoever_is_half_a_follower_is_refused() -> None:
    class Half:
        def select(self, rows: Tensor) -> None: ...

        def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
            return scores

    def act(run: Run) -> None:
        run.logits()
        with pytest.raises(CannotFollow, match="'half'"):
            run.select(torch.tensor([0]))

    perform(act, [[1]], Pipeline().add(Half))


def test_a_step_that_serves_the_whole_batch_follows_its_rows() -> None:
    def act(run: Run) -> None:
        run.logits()
        run.append(torch.tensor([2, 5]), stop=False)
        run.select(torch.tensor([1, 0, 1]))
        run.logits()
        run.append(torch.tensor([1, 1, 7]), stop=False)
        run.logits()
        assert run.process(torch.zeros(3, VOCAB))[:, 0].tolist() == [6, 3, 12]
        run.rewind(torch.tensor([1, 0, 2]))
        run.logits()
        assert run.process(torch.zeros(3, VOCAB))[:, 0].tolist() == [5, 3, 0]
        run.select(torch.tensor([0, 1]))

    perform(act, [[1], [2]], Pipeline(host=HOST).add("totals").stop("max_new_tokens", 9))


def test_each_row_of_a_step_takes_back_its_own_count() -> None:
    class Mine(Observed):
        def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:  # type: ignore[override]
            return scores + self.seen

    def act(run: Run) -> None:
        for _ in range(3):
            run.append(run.logits().argmax(-1), stop=False)
        run.rewind(torch.tensor([1, 3]))
        run.logits()
        run.append(torch.tensor([4, 4]), stop=False)
        run.append(run.logits().argmax(-1), stop=False)
        run.append(run.logits().argmax(-1), stop=False)
        run.logits()
        assert run.process(torch.zeros(2, VOCAB))[1, 0] == run.lengths[1] - 1

    perform(act, [[1], [2]], Pipeline().add(Mine).stop("max_new_tokens", 90))


def test_reasons_and_ends_follow_their_rows() -> None:
    def act(run: Run) -> None:
        run.logits()
        run.append(torch.tensor([3, 5]))
        assert run.reasons == ["stop_token_ids", None]
        run.append(run.logits().argmax(-1))
        run.select(torch.tensor([1, 0]))
        assert run.reasons == [None, "stop_token_ids"]
        assert run.finished.tolist() == [False, True]
        assert [len(run.generated(row)) for row in (0, 1)] == [2, 1]

    gen = perform(act, [[1], [2]], Pipeline().stop("stop_token_ids", [3]))
    assert gen.finish_reasons == ["interrupted", "stop_token_ids"]
    assert (gen.tokens[0][0], gen.tokens[1]) == (5, [3])


def test_the_scores_at_hand_follow_their_rows() -> None:
    def act(run: Run) -> None:
        before = run.scores()
        run.select(torch.tensor([1, 0, 1]))
        assert torch.equal(run.scores(), before[[1, 0, 1]])
        run.select(torch.tensor([0, 1]))

    perform(act, [[1], [2]])


def test_rows_that_lose_nothing_stay_finished_and_nothing_can_be_given_by_a_rewind() -> None:
    def act(run: Run) -> None:
        run.logits()
        run.append(torch.tensor([3, 3]))
        run.rewind(torch.tensor([1, 0]))
        assert run.finished.tolist() == [False, True]
        with pytest.raises(InvalidInput, match="row 1 has 1 generated"):
            run.rewind(torch.tensor([0, -1]))

    perform(act, [[1], [2]], Pipeline().stop("stop_token_ids", [3]))


def test_rows_finish_only_where_append_may_stop() -> None:
    def act(run: Run) -> None:
        run.logits()
        run.append(torch.tensor([3]), stop=False)
        assert not run.done
        run.logits()
        run.append(torch.tensor([3]))
        assert run.done

    perform(act, [[1]], Pipeline().stop("stop_token_ids", [3]))


def test_stop_rules_are_shown_the_processed_scores() -> None:
    rule = lambda ids, scores: scores.isfinite().sum(-1) == 3  # noqa: E731
    pipe = Pipeline().add("top_k", 3).stop(rule).stop("max_new_tokens", 4)
    gen = Decoder(TableModel(VOCAB), pipe, vocab_size=VOCAB).generate([[1]])
    assert len(gen.tokens[0]) == 1


def test_a_rule_of_the_recipe_comes_before_the_context() -> None:
    decoder = Decoder(TableModel(VOCAB), vocab_size=VOCAB, max_length=4)
    assert decoder.generate([[1]], max_new_tokens=3).finish_reasons == ["length"]
    assert decoder.generate([[1]], max_new_tokens=4).finish_reasons == ["context"]


def test_of_two_rules_that_end_a_row_at_once_the_recipes_first_gives_the_reason() -> None:
    model, forth = ScriptedModel(one_hot(7, 8)), Pipeline().stop("eos").stop("max_new_tokens", 2)
    back = Pipeline().stop("max_new_tokens", 2).stop("eos")
    for pipe, reason in ((forth, "eos"), (back, "length")):
        decoder = Decoder(model, pipe, vocab_size=VOCAB, eos_token_id=8)
        assert decoder.generate([[1]]).finish_reasons == [reason]


def test_poison_in_rows_that_nobody_draws_in_harms_nobody() -> None:
    """Row 1's prompt is still being fed while row 0 generates; in transformers' layout finished rows go on."""

    def in_prompt(x: Tensor) -> Tensor:
        logits = TableModel(VOCAB)(x)
        logits[x.cumsum(1) == 9] = float("nan")  # after [4, 5], the middle of row 1's prompt
        return logits

    pipe = Pipeline().stop("max_new_tokens", 2)
    gen = Decoder(in_prompt, pipe, vocab_size=VOCAB, adapter="stateless").generate([[1, 1], [4, 5, 9, 9]])
    assert gen.finish_reasons == ["length", "length"]

    def after_eos(x: Tensor) -> Tensor:
        logits = torch.zeros(*x.shape, VOCAB)
        logits[0, :, 2], logits[1:, :, 5] = 9.0, 9.0
        if x.shape[1] > 1:
            logits[0] = float("nan")
        return logits

    for lenient in (pipe, pipe.with_options(on_bad_row="stop_row")):
        hf = lenient.stop("eos").compat("hf")
        decoder = Decoder(after_eos, hf, vocab_size=VOCAB, eos_token_id=2, adapter="stateless")
        assert decoder.generate([[3], [4]]).finish_reasons == ["eos", "length"]


def test_a_rows_prompt_survives_when_the_buffer_is_full_of_prompt() -> None:
    """No rule says how long rows get, so the buffer is as wide as the longest prompt while short rows generate."""
    pipe = Pipeline().stop(lambda input_ids, scores: input_ids.shape[1] >= 9)
    decoder = Decoder(TableModel(VOCAB), pipe, vocab_size=VOCAB)
    prompts = [[1], [2, 3, 4, 5, 6], [7, 8]]
    batch = decoder.generate(prompts)
    assert [len(row) for row in batch.sequences.tolist()] == [9, 9, 9]
    assert batch.tokens == [decoder.generate([prompt]).tokens[0] for prompt in prompts]


def test_a_generous_limit_costs_nothing_before_it_is_reached() -> None:
    decoder = Decoder(ScriptedModel(one_hot(7, 1)), vocab_size=VOCAB, eos_token_id=1)
    assert decoder.generate([[3]], max_new_tokens=10**12).tokens == [[7, 1]]


def test_processing_keeps_no_graph_of_a_processors_own_weights() -> None:
    weight = nn.Parameter(torch.ones(()))
    seen: list[bool] = []

    class Rule:
        def __call__(self, input_ids: Tensor, scores: Tensor) -> bool:
            seen.append(scores.requires_grad)
            return True

    pipe = Pipeline().add(lambda ids, scores: scores * weight).stop(Rule)
    Decoder(TableModel(VOCAB), pipe, vocab_size=VOCAB).generate([[1]])
    assert seen == [False]


def test_what_a_processor_answers_in_another_dtype_is_made_the_scores_own() -> None:
    pipe = Pipeline().add(lambda ids, scores: scores.double())
    assert pipe(torch.tensor([[1]]), torch.zeros(1, 5)).dtype == torch.float32


def test_a_stop_rule_of_the_wrong_shape_is_named() -> None:
    pipe = Pipeline().stop(lambda ids, scores: torch.zeros(2, 2, dtype=torch.bool))
    with pytest.raises(PluginError, match=r"lambda.*\(2, 2\)"):
        Decoder(TableModel(VOCAB), pipe, vocab_size=VOCAB).generate([[1]])


def test_an_object_vouched_for_as_stateless_sees_each_row_at_its_own_length() -> None:
    def by_length(input_ids: Tensor, scores: Tensor) -> Tensor:
        return scores.roll(input_ids.shape[1], dims=-1)

    decoder = Decoder(TableModel(VOCAB), Pipeline().add(by_length, stateless=True), vocab_size=VOCAB)
    prompts = [[1], [2, 3, 4], [5, 6], [9]]
    batch = decoder.generate(prompts, max_new_tokens=6).tokens
    assert batch == [decoder.generate([prompt], max_new_tokens=6).tokens[0] for prompt in prompts]
