"""The watermarks against the classes of transformers, whose state ours must read off the rows."""

from __future__ import annotations

import pytest
import torch
from transformers.generation import logits_process as hf

from decodery.contracts.errors import InvalidInput

V = 60
GREEN = [
    {},
    {"greenlist_ratio": 0.5, "bias": 1.0, "context_width": 3},
    {"hashing_key": 7, "seeding_scheme": "selfhash"},
    {"seeding_scheme": "selfhash", "context_width": 2, "greenlist_ratio": 0.6},
]
TOURNAMENTS = [
    {"keys": [654, 400, 836], "ngram_len": 3},
    {"keys": [5], "ngram_len": 2, "context_history_size": 2},
    {"keys": [9, 8, 7, 6], "ngram_len": 4, "skip_first_ngram_calls": True},
    {"keys": [1, 2], "ngram_len": 3, "sampling_table_size": 64, "sampling_table_seed": 5},
]


def _synthid(values):
    defaults = {"ngram_len": 5, "context_history_size": 1024, "sampling_table_seed": 0}
    return hf.SynthIDTextWatermarkLogitsProcessor(
        **{**defaults, "sampling_table_size": 2**16, "device": torch.device("cpu"), **values}
    )


def _grown(rows, prompt, new, seed, vocab=V):
    """ids (R, prompt + new) of few different tokens, so that contexts come again, and scores for every step."""
    rng = torch.Generator().manual_seed(seed)
    ids = torch.randint(0, 3, (rows, prompt + new), generator=rng)
    return ids, 2 * torch.randn(new + 1, rows, vocab, generator=rng)


@pytest.mark.parametrize("values", GREEN, ids=str)
def test_the_green_list_is_that_of_transformers(values, build):
    theirs = hf.WatermarkLogitsProcessor(V, "cpu", **values)
    step = build("watermark", values)
    ids, scores = _grown(4, 3, 5, seed=0)
    for new in range(6):
        row = ids[:, : 3 + new]
        assert torch.equal(step(row, scores[new]), theirs(row, scores[new]))
        assert not torch.equal(step(row, scores[new]), scores[new])


def test_rows_of_other_lengths_have_their_own_green_lists(build):
    values = {"context_width": 2}
    theirs, step = hf.WatermarkLogitsProcessor(V, "cpu", **values), build("watermark", values)
    ids, scores = _grown(4, 2, 5, seed=1)
    lengths = torch.tensor([7, 1, 3, 7])
    got = step(ids, scores[0], lengths=lengths)
    for row, length in enumerate(lengths.tolist()):
        own = scores[0, row : row + 1]
        # Too short a row is left alone, as transformers leaves it, which warns at every step.
        wanted = theirs(ids[row : row + 1, :length], own) if length >= 2 else own
        assert torch.equal(got[row : row + 1], wanted)


def test_a_watermark_follows_a_change_of_vocabulary(build):
    step, ids = build("watermark"), torch.tensor([[3]])
    for vocab in (V, 2 * V, V):
        scores = torch.zeros(1, vocab)
        assert torch.equal(step(ids, scores), hf.WatermarkLogitsProcessor(vocab, "cpu")(ids, scores))


def test_selfhash_bears_a_step_without_a_green_candidate(build):
    """transformers makes an index of floats there, and fails."""
    values = {"seeding_scheme": "selfhash", "greenlist_ratio": 0.01, "hashing_key": 5}
    step, theirs = build("watermark", values), hf.WatermarkLogitsProcessor(100, "cpu", **values)
    ids, scores = torch.arange(30)[:, None], torch.randn(30, 100, generator=torch.Generator().manual_seed(0))
    unmarked = step(ids, scores).eq(scores).all(-1)
    assert unmarked.any()
    with pytest.raises(IndexError):
        theirs(ids, scores)


def test_selfhash_on_a_tiny_vocabulary_is_refused_in_words(build):
    with pytest.raises(InvalidInput, match=r"the 40 best tokens, and the vocabulary has 39\n.*lefthash"):
        build("watermark", {"seeding_scheme": "selfhash"})(torch.tensor([[1]]), torch.zeros(1, 39))


@pytest.mark.parametrize("values", TOURNAMENTS, ids=str)
def test_the_tournament_is_that_of_transformers_call_after_call(values, build):
    theirs = _synthid(values)
    step = build("synthid_watermark", values, prompt_lengths=torch.full((3,), 2))
    ids, scores = _grown(3, 2, 12, seed=2)
    repeated = marked = 0
    for new in range(13):
        row = ids[:, : 2 + new]
        wanted = theirs(row, scores[new])
        assert torch.equal(step(row, scores[new]), wanted)
        same = wanted.eq(scores[new]).all(-1)
        repeated, marked = repeated + int(same.sum()), marked + int((~same).sum())
    assert repeated > 2, "no context came again, so this test shows little"
    assert marked > 2


@pytest.mark.parametrize("values", TOURNAMENTS, ids=str)
def test_the_tournament_of_a_ragged_row_is_its_own(values, build):
    """Rows that have generated unequal numbers of tokens, asked out of order: nothing is remembered between calls."""
    prompts, lengths = torch.tensor([1, 4, 2, 3]), torch.tensor([9, 6, 2, 8])
    ids, scores = _grown(4, 0, 9, seed=3)
    step = build("synthid_watermark", values, prompt_lengths=prompts)
    step(ids.flip(0), scores[1], lengths=lengths, prompt_lengths=prompts)
    got = step(ids, scores[0], lengths=lengths, prompt_lengths=prompts)
    for row in range(4):
        theirs = _synthid(values)
        for length in range(int(prompts[row]), int(lengths[row]) + 1):
            wanted = theirs(ids[row : row + 1, :length], scores[0, row : row + 1])
        assert torch.equal(got[row : row + 1], wanted)
