"""Given equal logits, a row's tokens are the same alone, in any batch, at any position."""

from __future__ import annotations

import random

import pytest
import torch

from decodery import Decoder, Pipeline
from decodery.testing import TableModel

VOCAB = 60
PIPELINES = {
    "greedy": Pipeline().add("repetition_penalty", 1.3).add("no_repeat_ngram", 2),
    "sample": Pipeline().add("temperature", 0.9).add("top_p", 0.9).with_strategy("sample", seed=5),
    "history": (
        Pipeline()
        .add("repetition_penalty", 1.2, window=4)
        .add("no_repeat_ngram", 3)
        .add("min_new_tokens", 3)
        .add("bad_words", [[7, 8], [3]])
        .add("sequence_bias", [[[4, 5], 2.0], [[9], -1.0]])
        .add("typical_p", 0.9)
        .with_strategy("sample", seed=9)
    ),
    "cutoffs": (
        Pipeline()
        .add("top_k", 30)
        .add("min_p", 0.01)
        .add("epsilon_cutoff", 1e-3)
        .add("eta_cutoff", 1e-3)
        .with_strategy("sample", seed=1)
    ),
}


def _prompts(rng: random.Random) -> list[list[int]]:
    count = rng.randint(2, 6)
    distinct = {tuple(rng.randrange(VOCAB) for _ in range(rng.randint(1, 9))) for _ in range(count)}
    return [list(prompt) for prompt in sorted(distinct)]


@pytest.mark.parametrize("name", PIPELINES)
def test_a_row_alone_equals_the_row_in_a_batch(name: str) -> None:
    decoder = Decoder(TableModel(VOCAB), PIPELINES[name], vocab_size=VOCAB, eos_token_id=2)
    rng = random.Random(name)
    for _ in range(25):
        prompts = _prompts(rng)
        rng.shuffle(prompts)
        batch = decoder.generate(prompts, seed=11, max_new_tokens=8)
        for prompt, tokens, reason in zip(prompts, batch.tokens, batch.finish_reasons, strict=True):
            alone = decoder.generate([prompt], seed=11, max_new_tokens=8)
            assert (alone.tokens, alone.finish_reasons) == ([tokens], [reason])


def test_a_row_with_its_own_seed_keeps_it_wherever_it_stands() -> None:
    decoder = Decoder(TableModel(VOCAB), PIPELINES["sample"], vocab_size=VOCAB)
    prompts, seeds = [[1, 2], [1, 2], [5]], [100, 2**64 - 1, 100]
    first = decoder.generate(prompts, seeds=seeds, max_new_tokens=12)
    again = decoder.generate(prompts[::-1], seeds=seeds[::-1], max_new_tokens=12)
    assert first.tokens == again.tokens[::-1]
    assert first.tokens[0] != first.tokens[1]
    assert [row.seed for row in first] == seeds


def test_samples_of_a_prompt_differ_and_do_not_depend_on_how_many_were_asked_for() -> None:
    decoder = Decoder(TableModel(VOCAB), PIPELINES["sample"], vocab_size=VOCAB)
    four = decoder.generate([[1, 2], [3]], n=4, seed=2, max_new_tokens=10)
    two = decoder.generate([[1, 2], [3]], n=2, seed=2, max_new_tokens=10)
    assert [(row.prompt_index, row.sample_index) for row in four] == [
        (p, s) for p in range(2) for s in range(4)
    ]
    assert len({tuple(tokens) for tokens in four.tokens}) == 8
    assert four.tokens[:2] + four.tokens[4:6] == two.tokens


def test_the_reported_seed_repeats_an_unseeded_call() -> None:
    pipe = Pipeline().with_strategy("sample")
    decoder = Decoder(TableModel(VOCAB), pipe, vocab_size=VOCAB)
    first, other = decoder.generate([[1]], max_new_tokens=10), decoder.generate([[1]], max_new_tokens=10)
    assert first.seed is not None
    assert decoder.generate([[1]], seed=first.seed, max_new_tokens=10).tokens == first.tokens
    assert other.tokens != first.tokens
    torch.manual_seed(8)
    third = decoder.generate([[1]], max_new_tokens=10)
    torch.manual_seed(8)
    assert decoder.generate([[1]], max_new_tokens=10).tokens == third.tokens
