"""best_of, majority and mbr against references that recompute everything from the texts that were drawn."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch

from decodery import Decoder, Generation, Pipeline
from decodery.builtin.strategies.ensembles import BestOf, Mbr
from decodery.builtin.strategies.utilities import edit_similarity, token_f1
from decodery.contracts.errors import InvalidInput
from decodery.testing import TableModel

VOCAB, NEW, COUNT = 6, 3, 12
PROMPTS = [[1, 2], [3], [5, 4, 0]]


def generate(strategy: Any, n: int = 1, seed: int = 5, **params: Any) -> Generation:
    pipe = Pipeline().with_strategy(strategy, **params).stop("max_new_tokens", NEW)
    return Decoder(TableModel(VOCAB), pipe, vocab_size=VOCAB).generate(PROMPTS, n=n, seed=seed)


def every_sample() -> list[list[tuple[int, ...]]]:
    """The samples of each prompt: all of them are results where as many are wanted as were drawn."""
    gen = generate("best_of", n=COUNT, num_samples=COUNT)
    return [[tuple(row.tokens) for row in gen if row.prompt_index == p] for p in range(len(PROMPTS))]


def mean_logprob(prompt: list[int], tokens: tuple[int, ...]) -> float:
    model, ids, total = TableModel(VOCAB), list(prompt), 0.0
    for token in tokens:
        total += float(model(torch.tensor([ids]))[0, -1].double().log_softmax(-1)[token])
        ids.append(token)
    return total / len(tokens)


def test_best_of_gives_the_samples_of_the_greatest_mean_log_probability() -> None:
    samples, gen = every_sample(), generate("best_of", n=3, num_samples=COUNT)
    for p, prompt in enumerate(PROMPTS):
        scores = sorted((mean_logprob(prompt, tokens) for tokens in samples[p]), reverse=True)[:3]
        rows = [row for row in gen if row.prompt_index == p]
        assert [row.sequence_score for row in rows] == pytest.approx(scores, abs=1e-5)
        assert [mean_logprob(prompt, tuple(row.tokens)) for row in rows] == pytest.approx(scores, abs=1e-5)


def test_a_score_of_the_callers_own_ranks_the_samples() -> None:
    samples = every_sample()
    gen = generate(BestOf, num_samples=COUNT, score=lambda tokens, logprobs: -sum(tokens))
    assert [sum(tokens) for tokens in gen.tokens] == [min(map(sum, drawn)) for drawn in samples]


def test_majority_gives_the_most_frequent_text_and_its_share() -> None:
    samples, gen = every_sample(), generate("majority", num_samples=COUNT)
    assert gen.sequence_scores is not None
    for drawn, tokens, share in zip(samples, gen.tokens, gen.sequence_scores, strict=True):
        votes = Counter(drawn)
        assert votes[tuple(tokens)] == max(votes.values())
        assert share == pytest.approx(max(votes.values()) / COUNT)


def test_an_answer_in_text_needs_a_tokenizer() -> None:
    with pytest.raises(InvalidInput, match="no tokenizer is known"):
        generate("majority", num_samples=2, answer="a$")


@pytest.mark.parametrize(("name", "utility"), [("token_f1", token_f1), ("edit_similarity", edit_similarity)])
def test_mbr_gives_the_sample_of_the_greatest_expected_utility(name: str, utility: Any) -> None:
    samples, gen = every_sample(), generate("mbr", num_samples=COUNT, utility=name)
    assert gen.sequence_scores is not None
    for drawn, tokens, score in zip(samples, gen.tokens, gen.sequence_scores, strict=True):
        expected = {text: sum(utility(text, other) for other in drawn) / COUNT for text in drawn}
        assert score == pytest.approx(max(expected.values()))
        assert expected[tuple(tokens)] == pytest.approx(score)


def test_a_utility_of_the_callers_own() -> None:
    samples = every_sample()
    gen = generate(Mbr, num_samples=COUNT, utility=lambda hypothesis, reference: float(hypothesis[0]))
    assert [tokens[0] for tokens in gen.tokens] == [max(text[0] for text in drawn) for drawn in samples]


def test_utilities_by_hand() -> None:
    assert token_f1([1, 2, 3], [2, 3, 4, 5]) == pytest.approx(4 / 7)  # precision 2/3, recall 2/4
    assert edit_similarity([1, 2, 3], [1, 3, 3, 4]) == pytest.approx(1 - 2 / 4)
    assert token_f1([], []) == edit_similarity([], []) == 1


def test_more_results_than_samples_are_refused() -> None:
    with pytest.raises(InvalidInput, match="raise num_samples"):
        generate("mbr", n=3, num_samples=2)
