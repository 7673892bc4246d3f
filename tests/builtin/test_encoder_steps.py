"""Steps that read the encoder's ids: equal to transformers on rectangles, blind to the encoder's padding."""

from __future__ import annotations

import pytest
import torch
from transformers.generation import logits_process as hf

V = 12
CASES = {
    **{
        f"penalty-{p}": (
            "encoder_repetition_penalty",
            {"penalty": p},
            lambda ids, p=p: hf.EncoderRepetitionPenaltyLogitsProcessor(p, ids),
        )
        for p in (0.7, 1.0, 1.5, 3.3)
    },
    **{
        f"ngram-{n}": (
            "encoder_no_repeat_ngram",
            {"ngram_size": n},
            lambda ids, n=n: hf.EncoderNoRepeatNGramLogitsProcessor(n, ids),
        )
        for n in (1, 2, 3)
    },
}


def _rows(rows, rng):
    ids = torch.randint(0, 4, (rows, 1 + rows % 5), generator=rng)
    scores = 2 * torch.randn(rows, V, generator=rng)
    return ids, scores.masked_fill(torch.rand(rows, V, generator=rng) < 0.1, -torch.inf)


@pytest.mark.parametrize("case", CASES)
def test_an_encoder_step_equals_the_class_of_transformers_on_a_rectangle(case, build):
    name, values, oracle = CASES[case]
    rng = torch.Generator().manual_seed(1)
    acted = 0
    for trial in range(60):
        ids, scores = _rows(1 + trial % 7, rng)
        encoder = torch.randint(0, 4, (len(ids), 1 + trial % 6), generator=rng)
        got = build(name, values, encoder_ids=encoder)(ids, scores)
        assert torch.equal(got, oracle(encoder)(ids, scores))
        acted += not torch.equal(got, scores)
    assert acted > 4 or values == {"penalty": 1.0}


@pytest.mark.parametrize("case", CASES)
def test_padding_of_the_encoder_and_of_the_row_is_never_seen(case, build):
    name, values, oracle = CASES[case]
    rng = torch.Generator().manual_seed(2)
    for _ in range(40):
        ids, scores = _rows(5, rng)
        ids = torch.randint(0, 4, (5, 6), generator=rng)
        encoder = torch.randint(0, 4, (5, 6), generator=rng)
        lengths, own = (torch.randint(1, 7, (5,), generator=rng) for _ in "ab")
        step = build(name, values, encoder_ids=encoder, encoder_lengths=own)
        got = step(ids, scores, lengths=lengths)
        for row in range(5):
            alone = oracle(encoder[row : row + 1, : own[row]])
            expected = alone(ids[row : row + 1, : lengths[row]], scores[row : row + 1])
            assert torch.equal(got[row : row + 1], expected)


@pytest.mark.parametrize("case", CASES)
def test_the_encoders_ids_follow_their_rows(case, build):
    name, values, _ = CASES[case]
    rng = torch.Generator().manual_seed(3)
    ids, scores = _rows(4, rng)
    encoder = torch.randint(0, 4, (4, 5), generator=rng)
    own = torch.tensor([5, 1, 3, 2])
    step = build(name, values, encoder_ids=encoder, encoder_lengths=own)
    before, rows = step(ids, scores), torch.tensor([2, 0, 2, 1, 3])
    step.select(rows)
    assert torch.equal(step(ids[rows], scores[rows]), before[rows])


def test_ids_that_only_the_encoder_has_are_passed_over(build):
    ids, scores = torch.zeros(1, 2, dtype=torch.int64), torch.ones(1, V)
    for name, values in (
        ("encoder_repetition_penalty", {"penalty": 2.0}),
        ("encoder_no_repeat_ngram", {"ngram_size": 1}),
    ):
        got = build(name, values, encoder_ids=torch.tensor([[V + 3, 1]]))(ids, scores)
        assert (got != scores).nonzero().tolist() == [[0, 1]]
