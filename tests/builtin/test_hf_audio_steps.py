"""Steps of audio models against the classes of transformers: Whisper, Bark, Dia."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from transformers.generation import logits_process as hf

from decodery.contracts.errors import InvalidInput

V = 20


def _rows(rows, width, rng, low=0, vocab=V):
    return torch.randint(low, vocab, (rows, width), generator=rng), 2 * torch.randn(
        rows, vocab, generator=rng
    )


@pytest.mark.parametrize("begin", [None, 2])
@pytest.mark.parametrize("first", [None, 1])
@pytest.mark.parametrize("detect", [True, False])
def test_timestamps_are_those_of_transformers_for_each_row(begin, first, detect, build):
    values = {
        "no_timestamps_token_id": 9,
        "begin_index": begin,
        "max_initial_timestamp_index": first,
        "detect_from_logprob": detect,
    }
    config = SimpleNamespace(
        no_timestamps_token_id=9, eos_token_id=3, bos_token_id=1, max_initial_timestamp_index=first
    )
    rng = torch.Generator().manual_seed(0)
    for _ in range(30):
        ids, scores = _rows(5, 6, rng, low=5)
        prompts = torch.randint(1, 4, (5,), generator=rng)
        lengths = prompts + torch.randint(0, 4, (5,), generator=rng)
        ids = torch.where(torch.arange(6) < lengths[:, None], ids, 19)
        step = build("whisper_timestamps", values, eos=(3,), prompt_lengths=prompts)
        got = step(ids, scores, lengths=lengths, prompt_lengths=prompts)
        for row in range(5):
            start = int(prompts[row]) if begin is None else begin
            theirs = hf.WhisperTimeStampLogitsProcessor(config, start, detect)
            wanted = theirs(ids[row : row + 1, : lengths[row]], scores[row : row + 1])
            assert torch.equal(got[row : row + 1], wanted)


def test_bark_ends_where_transformers_would(build):
    rng = torch.Generator().manual_seed(1)
    ids, scores = _rows(40, 3, rng)
    got = build("bark_eos_prioritizer", {"min_eos_p": 0.1}, eos=(3, 7))(ids, scores)
    assert torch.equal(got, hf.BarkEosPrioritizerLogitsProcessor([3, 7], 0.1)(ids, scores))
    ended = got.isfinite().sum(-1) == 2
    assert 0 < int(ended.sum()) < 40
    assert build("bark_eos_prioritizer", {"min_eos_p": 0.1}, eos=())(ids, scores) is scores


def test_codebooks_alternate_from_each_rows_own_prompt(build):
    rng = torch.Generator().manual_seed(2)
    ids, scores = _rows(6, 8, rng)
    prompts, lengths = torch.tensor([2, 3, 4, 1, 5, 8]), torch.tensor([8, 8, 5, 1, 6, 8])
    values = {"semantic_vocab_size": 6, "codebook_size": 5}
    step = build("alternating_codebooks", values, prompt_lengths=prompts)
    got = step(ids, scores, lengths=lengths, prompt_lengths=prompts)
    for row in range(6):
        theirs = hf.AlternatingCodebooksLogitsProcessor(int(prompts[row]), 6, 5)
        wanted = theirs(ids[row : row + 1, : lengths[row]], scores[row : row + 1])
        assert torch.equal(got[row : row + 1], wanted)


@pytest.mark.parametrize(("name", "values"), [("dia_eos_channel_filter", {"num_channels": 3})])
def test_dias_channel_filter_leaves_the_scores_that_transformers_writes_into(name, values, build):
    rng = torch.Generator().manual_seed(3)
    ids, scores = _rows(12, 2, rng)
    scores[3, 15] = scores[6, 15] = 50.0
    before = scores.clone()
    got = build(name, values, eos=(15,))(ids, scores)
    assert torch.equal(scores, before)
    assert torch.equal(got, hf.DiaEOSChannelFilterLogitsProcessor(3, 15)(ids, scores))
    assert not torch.equal(scores, before), "transformers mended this: the copy is not needed any more"


def _dia(steps, scores, ids, build, limit=11):
    """Ours, told of each token as a run tells it; transformers' class beside it."""
    values = {"delay_pattern": [0, 2, 1], "max_generation_len": limit}
    step = build("dia_eos_delay_pattern", values, eos=(15,), prompt_lengths=torch.full((6,), 2))
    theirs = hf.DiaEOSDelayPatternLogitsProcessor([0, 2, 1], 15, limit)
    for at in range(steps):
        wanted = theirs(ids[:, : 2 + at], scores[at].clone())
        for _ in range(2):  # asking twice moves nothing
            assert torch.equal(step(ids[:, : 2 + at], scores[at]), wanted)
        step.observe(ids[:, 2 + at], torch.ones(6, dtype=torch.bool))
    return step


def _dia_rows():
    rng = torch.Generator().manual_seed(4)
    scores = 2 * torch.randn(9, 6, V, generator=rng)
    scores[2, 3, 15] = 50.0  # the second text ends at the third step
    return torch.randint(0, 14, (6, 12), generator=rng), scores


def test_dias_channels_end_after_their_delays_as_in_transformers(build):
    ids, scores = _dia_rows()
    _dia(9, scores, ids, build)


def test_dias_delays_follow_rows_that_are_reordered_and_taken_back(build):
    ids, scores = _dia_rows()
    step = _dia(5, scores, ids, build)
    step.rewind(torch.tensor([3, 3, 3, 1, 1, 1]))
    straight = [_dia(n, scores, ids, build) for n in (2, 4)]
    lengths = torch.tensor([4, 4, 4, 6, 6, 6])
    got = step(ids[:, :6], scores[5], lengths=lengths)
    assert torch.equal(got[:3], straight[0](ids[:, :4], scores[5])[:3])
    assert torch.equal(got[3:], straight[1](ids[:, :6], scores[5])[3:])
    rows = torch.tensor([3, 4, 5, 0, 1, 2, 3, 4, 5])
    step.select(rows)
    assert torch.equal(step(ids[rows][:, :6], scores[5][rows], lengths=lengths[rows]), got[rows])


def test_rows_that_are_no_whole_texts_are_refused(build):
    with pytest.raises(InvalidInput, match="4 rows are no multiple of 3 channels"):
        build("dia_eos_channel_filter", {"num_channels": 3}, eos=(5,))(*_rows(4, 2, torch.Generator()))
    with pytest.raises(InvalidInput, match="2 rows are no multiple of 3 channels"):
        build(
            "dia_eos_delay_pattern",
            {"delay_pattern": [0, 1, 2], "max_generation_len": 9},
            eos=(5,),
            prompt_lengths=torch.tensor([1, 1]),
        )


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("whisper_timestamps", {"no_timestamps_token_id": 5}),
        ("dia_eos_channel_filter", {"num_channels": 1}),
        ("dia_eos_delay_pattern", {"delay_pattern": [0], "max_generation_len": 9}),
    ],
)
def test_a_step_that_needs_an_end_says_so(name, values, build):
    with pytest.raises(InvalidInput, match=rf"{name}: no end-of-sequence token is known\n.*eos_token_id"):
        build(name, values, eos=())
