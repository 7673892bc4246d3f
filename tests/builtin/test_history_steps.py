"""Steps that read the ids: equal to transformers on rectangles, and to each row alone on ragged batches."""

from __future__ import annotations

import pytest
import torch
from hf_versions import FOUR, not_with_4
from transformers.generation import logits_process as hf

from decodery.contracts.errors import InvalidInput, NeedsBind

V = 12
EOS = (3, 11)
WORDS = [[5], [1, 2], [2, 1], [0, 1, 2], [7, 7, 7, 7], [3], [11, 4]]
PAIRS = [
    [[5], -0.7],
    [[1, 2], 2.3],
    [[2], 1.1],
    [[0, 1, 2], -4.0],
    [[3, 3, 3], 0.1],
    [[2, 1], 0.3],
    [[5], 0.9],
]


def _penalty(ids, prompt, window, scope):
    """What counts, said with transformers' class and a slice."""
    part = {"all": ids, "prompt": ids[:, :prompt], "output": ids[:, prompt:]}[scope]
    if window is not None:
        first = max(ids.shape[1] - window, 0)
        part = {
            "all": ids[:, first:],
            "prompt": ids[:, first:prompt],
            "output": ids[:, max(first, prompt) :],
        }[scope]
    return hf.RepetitionPenaltyLogitsProcessor(1.3), part


def _same_ids(processor):
    return lambda ids, prompt: (processor, ids)


CASES = {
    **{
        f"repetition_penalty-{scope}-{window}": (
            "repetition_penalty",
            {"penalty": 1.3, "window": window, "scope": scope},
            lambda ids, prompt, scope=scope, window=window: _penalty(ids, prompt, window, scope),
        )
        for scope in ("all", "prompt", "output")
        for window in (None, 1, 4, 100)
    },
    **{
        f"no_repeat_ngram-{n}": (
            "no_repeat_ngram",
            {"ngram_size": n},
            _same_ids(hf.NoRepeatNGramLogitsProcessor(n)),
        )
        for n in (1, 2, 3, 4)
    },
    **{
        f"min_new_tokens-{n}": (
            "min_new_tokens",
            {"min_new_tokens": n},
            lambda ids, prompt, n=n: (hf.MinNewTokensLengthLogitsProcessor(prompt, n, list(EOS)), ids),
        )
        for n in (1, 3)
    },
    **{
        f"min_length-{n}": (
            "min_length",
            {"min_length": n},
            _same_ids(hf.MinLengthLogitsProcessor(n, list(EOS))),
        )
        for n in (3, 8)
    },
    "forced_bos": ("forced_bos", {"token_id": 4}, _same_ids(hf.ForcedBOSTokenLogitsProcessor(4))),
    **{
        f"forced_eos-{n}": (
            "forced_eos",
            {"token_ids": list(EOS), "max_length": n},
            _same_ids(hf.ForcedEOSTokenLogitsProcessor(n, list(EOS))),
        )
        for n in (2, 6)
    },
    **{
        f"exponential_decay-{start}-{factor}": (
            "exponential_decay_length_penalty",
            {"decay": [start, factor]},
            lambda ids, prompt, start=start, factor=factor: (
                hf.ExponentialDecayLengthPenalty((start, factor), list(EOS), prompt),
                ids,
            ),
        )
        for start, factor in ((0, 1.07), (1, 1.6), (2, 0.5))
    },
    "begin_suppress": (
        "begin_suppress_tokens",
        {"ids": [1, 2, 11]},
        lambda ids, prompt: (hf.SuppressTokensAtBeginLogitsProcessor([1, 2, 11], prompt), ids),
    ),
    "begin_suppress-4": (
        "begin_suppress_tokens",
        {"ids": [1, 2, 11], "begin_index": 4},
        _same_ids(hf.SuppressTokensAtBeginLogitsProcessor([1, 2, 11], 4)),
    ),
    "begin_suppress-after-bos": (
        "begin_suppress_tokens",
        {"ids": [1, 2, 11], "after_forced_bos": True},
        lambda ids, prompt: (
            # As `generate` chooses begin_index where forced_bos_token_id is set.
            hf.SuppressTokensAtBeginLogitsProcessor([1, 2, 11], prompt if prompt > 1 else prompt + 1),
            ids,
        ),
    ),
    "bad_words": ("bad_words", {"ids": WORDS}, _same_ids(hf.NoBadWordsLogitsProcessor(WORDS, list(EOS)))),
    "sequence_bias": (
        "sequence_bias",
        {"pairs": PAIRS},
        # As a dict: transformers 4 takes the id 0 in no list.
        _same_ids(hf.SequenceBiasLogitsProcessor({tuple(ids): bias for ids, bias in PAIRS})),
    ),
}


def _scores(rows, rng, dtype=torch.float32):
    scores = 2 * torch.randn(rows, V, generator=rng)
    return scores.masked_fill(torch.rand(rows, V, generator=rng) < 0.1, -torch.inf).to(dtype)


def _as_4_can(name, scores):
    """transformers 4 makes NaN of a banned end that grows: it is shown none."""
    return scores.clamp(min=-60) if FOUR and name == "exponential_decay_length_penalty" else scores


def _4_passes_over(name, length):
    """transformers 4 looks for a sequence of four ids in a text of four or more; 5 in one of three, its prefix."""
    return FOUR and name in ("bad_words", "sequence_bias") and length < max(map(len, WORDS))


def _ids(rows, width, rng):
    # Often few different ids, so that n-grams and words do occur.
    return torch.randint(0, (2, V, 3)[width % 3], (rows, width), generator=rng)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("case", CASES)
def test_a_history_step_equals_the_class_of_transformers_on_a_rectangle(case, dtype, build):
    name, values, oracle = CASES[case]
    rng = torch.Generator().manual_seed(1)
    acted = 0
    for width in [*range(1, 10), 21, 40] * 4:
        rows = 1 + width % 4
        ids, scores = _ids(rows, width, rng), _as_4_can(name, _scores(rows, rng, dtype))
        if _4_passes_over(name, width):
            continue
        before_ids, before = ids.clone(), scores.clone()
        prompt = width - min(width - 1, width % 5)
        step = build(name, values, eos=EOS, prompt_lengths=torch.full((rows,), prompt))
        theirs, their_ids = oracle(ids, prompt)
        wanted = theirs(their_ids, scores) if their_ids.shape[1] else scores
        if "scope" in values and values["scope"] != "all":
            got = step(ids, scores, prompt_lengths=torch.full((rows,), prompt))
        else:
            got = step(ids, scores)
        assert got.dtype == wanted.dtype == dtype
        assert torch.equal(got, wanted)
        assert torch.equal(ids, before_ids)
        assert torch.equal(scores, before)
        acted += not torch.equal(got, scores)
    assert acted >= 4, "the step hardly ever did anything, so this test shows little"


@pytest.mark.parametrize("case", CASES)
def test_a_ragged_batch_equals_each_row_alone_whatever_lies_in_the_padding(case, build):
    name, values, oracle = CASES[case]
    rng = torch.Generator().manual_seed(2)
    acted = 0
    for trial in range(120):
        rows, width = 1 + trial % 5, 1 + trial % 13
        real, scores = _ids(rows, width, rng), _as_4_can(name, _scores(rows, rng))
        lengths = torch.randint(1, width + 1, (rows,), generator=rng)
        prompts = (torch.rand(rows, generator=rng) * (lengths + 1)).long()
        # Padding that repeats the row's own ids, and padding that no vocabulary has.
        garbage = (_ids(rows, width, rng), torch.randint(-9, 99, (rows, width), generator=rng))[trial % 2]
        padding = torch.arange(width) >= lengths[:, None]
        ids = torch.where(padding, garbage, real)
        step = build(name, values, eos=EOS, prompt_lengths=prompts)
        got = step(ids, scores, lengths=lengths, prompt_lengths=prompts)
        for row in range(rows):
            if _4_passes_over(name, lengths[row]):
                continue
            alone = real[row : row + 1, : lengths[row]]
            theirs, their_ids = oracle(alone, int(prompts[row]))
            own = scores[row : row + 1]
            wanted = theirs(their_ids, own) if their_ids.shape[1] else own
            assert torch.equal(got[row : row + 1], wanted)
            acted += not torch.equal(wanted, own)
    assert acted >= 15, "the step hardly ever did anything, so this test shows little"


def test_min_new_tokens_goes_by_the_prompt_lengths_of_the_call_when_rows_were_dropped(build):
    step = build("min_new_tokens", {"min_new_tokens": 2}, eos=(3,), prompt_lengths=torch.tensor([1, 9, 3]))
    scores = torch.zeros(1, V)
    ids = torch.zeros(1, 4, dtype=torch.int64)
    assert step(ids, scores, lengths=torch.tensor([4]), prompt_lengths=torch.tensor([3]))[0, 3] == -torch.inf
    assert step(ids, scores, lengths=torch.tensor([4]), prompt_lengths=torch.tensor([1]))[0, 3] == 0


@not_with_4["pads"]
def test_pads_before_a_row_are_not_penalised_as_in_generate(build):
    rng = torch.Generator().manual_seed(5)
    pads = torch.tensor([0, 2, 5, 3])
    ids, scores = torch.randint(0, V, (4, 8), generator=rng), _scores(4, rng)
    ids = ids.masked_fill(torch.arange(8) < pads[:, None], 7)
    step = build("repetition_penalty", {"penalty": 1.3}, padding=pads)
    wanted = hf.RepetitionPenaltyLogitsProcessor(1.3, prompt_ignore_length=pads)(ids, scores)
    assert not torch.equal(wanted, hf.RepetitionPenaltyLogitsProcessor(1.3)(ids, scores))
    assert torch.equal(step(ids, scores), wanted)
    rows = torch.tensor([2, 2, 0])
    step.select(rows)
    assert torch.equal(step(ids[rows], scores[rows]), wanted[rows])


def test_ids_that_only_the_embedding_has_are_passed_over(build):
    ids, scores = torch.tensor([[40, 1, 40, 1, 40]]), torch.ones(1, 4)
    assert build("repetition_penalty", {"penalty": 2.0})(ids, scores).tolist() == [[1.0, 0.5, 1.0, 1.0]]
    assert build("no_repeat_ngram", {"ngram_size": 2})(ids, scores).tolist() == [[1.0, -torch.inf, 1.0, 1.0]]
    assert build("min_new_tokens", {"min_new_tokens": 9}, eos=(40, -1, 2))(ids, scores)[0, 2] == -torch.inf


def test_a_scope_without_prompt_lengths_is_refused_and_not_guessed(build):
    step = build("repetition_penalty", {"penalty": 2.0, "scope": "output"})
    with pytest.raises(NeedsBind, match=r"scope 'output'.*\n.*bind"):
        step(torch.zeros(1, 2, dtype=torch.int64), torch.zeros(1, V))


@pytest.mark.parametrize(
    ("name", "values"), [("bad_words", {"ids": [[1, V]]}), ("sequence_bias", {"pairs": [[[V], 1]]})]
)
def test_sequences_outside_the_vocabulary_are_refused_with_their_ids(name, values, build):
    with pytest.raises(
        InvalidInput, match=rf"{name}: the token ids \[{V}\] are outside the vocabulary of {V}"
    ):
        build(name, values)(torch.zeros(1, 2, dtype=torch.int64), torch.zeros(1, V))


def test_bad_words_that_are_all_ends_of_text_ban_nothing_as_in_transformers(build):
    ids, scores = torch.zeros(1, 2, dtype=torch.int64), torch.ones(1, V)
    assert torch.equal(hf.NoBadWordsLogitsProcessor([[3], [11]], list(EOS))(ids, scores), scores)
    assert build("bad_words", {"ids": [[3], [11]]}, eos=EOS)(ids, scores) is scores


def test_a_bias_follows_a_change_of_vocabulary(build):
    step = build("sequence_bias", {"pairs": [[[1], 2.0]]})
    ids = torch.zeros(1, 1, dtype=torch.int64)
    assert step(ids, torch.zeros(1, 3)).tolist() == [[0.0, 2.0, 0.0]]
    assert step(ids, torch.zeros(1, 2)).tolist() == [[0.0, 2.0]]
