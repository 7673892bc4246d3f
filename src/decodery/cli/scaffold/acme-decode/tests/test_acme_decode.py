"""The formulas, worked out by hand, and the recipe on a tiny model."""

from math import inf

import torch
from acme_decode.margin import within_margin
from acme_decode.stuck import is_stuck

from decodery import Decoder, Pipeline
from decodery.testing import ScriptedModel, UniformModel


def test_margin_keeps_what_is_near_the_best() -> None:
    scores = torch.tensor([[4.0, 3.0, 1.0, -inf]])
    assert within_margin(scores, 1.0).tolist() == [[4.0, 3.0, -inf, -inf]]


def test_stuck_looks_at_the_newest_tokens() -> None:
    ids = torch.tensor([[1, 2, 2, 2], [2, 2, 2, 1]])
    assert is_stuck(ids, 3).tolist() == [True, False]
    assert is_stuck(ids, 5).tolist() == [False, False]


def test_without_epsilon_the_best_token_is_taken() -> None:
    pipe = Pipeline().with_strategy("acme-decode/epsilon_greedy", epsilon=0.0).stop("max_new_tokens", 3)
    script = torch.eye(5)[[1, 3, 2]] * 4
    assert Decoder(ScriptedModel(script), pipe, vocab_size=5).generate([[0]]).tokens == [[1, 3, 2]]


def test_the_recipe_decodes() -> None:
    generation = Decoder(UniformModel(50), "acme-decode", vocab_size=50).generate([[1, 2], [3]])
    assert all(0 < len(row) <= 40 for row in generation.tokens)


def test_a_row_that_loops_is_ended_by_name() -> None:
    pipe = Pipeline().stop("acme-decode/stuck", 3)
    generation = Decoder(UniformModel(5), pipe, vocab_size=5).generate([[1]])
    assert (generation.tokens, generation.finish_reasons) == ([[0, 0, 0]], ["stuck"])
