"""From the arguments of `generate` to rows."""

from __future__ import annotations

import pytest
import torch
from engine_support import (
    HOST,
    VOCAB,
    Letters,
    one_hot,
    perform,
)

from decodery import Decoder, Pipeline
from decodery.contracts.errors import (
    InvalidInput,
    PluginError,
)
from decodery.engine.run.run import Run
from decodery.testing import ScriptedModel, TableModel, UniformModel


@pytest.mark.parametrize("strategy", ["second_best", "second_best_told"])
def test_filters_leave_as_many_tokens_as_the_strategy_needs(strategy: str) -> None:
    pipe = Pipeline(host=HOST).add("top_k", 1).with_strategy(strategy)
    x, logits = torch.tensor([[1]]), TableModel(VOCAB)(torch.tensor([[1]]))[:, -1]
    assert pipe(x, logits).isfinite().sum() == 2
    assert pipe.bind(prompt=x)(x, logits).isfinite().sum() == 2
    more = Pipeline(host=HOST).add("top_p", 0.01, min_keep=5).with_strategy(strategy)
    assert more(x, logits).isfinite().sum() == 5
    gen = Decoder(TableModel(VOCAB), pipe, vocab_size=VOCAB, host=HOST).generate([[1]], max_new_tokens=3)
    state = [1]
    for token in gen.tokens[0]:
        assert token == int(TableModel(VOCAB)(torch.tensor([state]))[0, -1].topk(2).indices[1])
        state.append(token)


def test_a_strategy_must_leave_a_row_for_each_that_it_was_given() -> None:
    def act(run: Run) -> None:
        run.logits()
        run.select(torch.tensor([0]))

    with pytest.raises(PluginError, match="left 1 rows of 2"):
        perform(act, [[1], [2]])


def test_a_strategy_that_owns_its_loop_is_run_once_for_each_prompt_length_on_a_model_without_masks() -> None:
    seen: list[list[int]] = []

    def act(run: Run) -> None:
        seen.append(run.lengths.tolist())
        run.append(torch.tensor([len(seen)] * len(run.lengths)))

    gen = perform(act, [[1], [2, 3], [4], [5, 6]])
    assert seen == [[1, 1], [2, 2]]
    assert gen.tokens == [[1], [2], [1], [2]]


def test_a_random_step_under_greedy_has_a_seed_that_repeats_the_call() -> None:
    pipe = Pipeline(host=HOST).add("shaken").stop("max_new_tokens", 2)
    decoder = Decoder(UniformModel(VOCAB), pipe, vocab_size=VOCAB, host=HOST)
    first, other = decoder.generate([[1]]).seed, decoder.generate([[1]]).seed
    assert first is not None
    assert other is not None
    assert first != other


def test_samples_of_one_prompt_have_their_own_numbers_in_every_step() -> None:
    def act(run: Run) -> None:
        run.logits()
        first, second = run.process(torch.zeros(2, VOCAB))[:, 0].tolist()
        assert first != second

    perform(act, [[1]], Pipeline(host=HOST).add("shaken").stop("max_new_tokens", 9), n=2)


def test_rows_have_no_seeds_of_their_own_in_hfs_layout() -> None:
    decoder = Decoder(TableModel(VOCAB), Pipeline().compat("hf").with_strategy("sample"), vocab_size=VOCAB)
    with pytest.raises(InvalidInput, match="one generator"):
        decoder.generate([[1]], seeds=[3])


def test_sequences_are_padded_with_eos_where_there_is_no_pad() -> None:
    pipe = Pipeline().stop("eos").stop(lambda ids, scores: ids.shape[1] >= 4)
    gen = Decoder(UniformModel(VOCAB), pipe, vocab_size=VOCAB, eos_token_id=[9, 8]).generate([[1], [2, 3, 4]])
    assert gen.sequences.tolist() == [[1, 0, 0, 0], [2, 3, 4, 0]]
    shorter = Decoder(UniformModel(VOCAB), vocab_size=VOCAB, eos_token_id=[9, 8])
    assert shorter.generate([[1], [2, 3]], max_new_tokens=1).sequences.tolist() == [[1, 0, 9], [2, 3, 0]]


def test_what_the_caller_says_of_special_tokens_comes_before_what_the_model_says() -> None:
    model = ScriptedModel(one_hot(7, 8, 9))
    model.eos_token_id, model.pad_token_id = 8, 5  # type: ignore[attr-defined]
    assert Decoder(model, vocab_size=VOCAB).generate([[1]]).tokens == [[7, 8]]
    told = Decoder(model, vocab_size=VOCAB, eos_token_id=9, pad_token_id=6)
    assert told.generate([[1]]).tokens == [[7, 8, 9]]
    assert told.generate([[1], [2, 3]], max_new_tokens=1).sequences[0, -1] == 6


def test_a_tokenizers_own_eos_ends_rows() -> None:
    class WithEnd(Letters):
        eos_id = 8

    decoder = Decoder(ScriptedModel(one_hot(7, 8, 9)), tokenizer=WithEnd(), vocab_size=VOCAB)
    assert decoder.generate([[1]]).finish_reasons == ["eos"]


def test_a_number_of_log_probabilities_below_none_is_refused() -> None:
    with pytest.raises(InvalidInput, match="logprobs = -1"):
        Decoder(TableModel(VOCAB), vocab_size=VOCAB).generate([[1]], logprobs=-1)
