"""Stop rules: equal to transformers' criteria, the same row by row, and blind to padding."""

from __future__ import annotations

import pytest
import torch
from hf_versions import not_with_4
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast
from transformers.generation import stopping_criteria as hf

from decodery.builtin.stopping import clock
from decodery.contracts.errors import InvalidInput

TEXT = [
    "stop the opera",
    "she stopped at the top",
    "un été passé à Opéra",
    "no stop: post stops on spots",
    "é é",
]
STRINGS = ["st", "op", "é", " s", "top ", "st op"]


class Fast:
    """decodery's face of a tokenizers.Tokenizer."""

    bos, eos, pad = None, (), None

    def __init__(self, raw: Tokenizer) -> None:
        self.raw, self.size = raw, raw.get_vocab_size()

    def encode(self, text, special=True):
        return self.raw.encode(text).ids

    def decode(self, ids):
        return self.raw.decode(list(ids))


def _byte_level() -> Tokenizer:
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    raw.train_from_iterator(TEXT, trainers.BpeTrainer(vocab_size=60, show_progress=False))
    return raw


def _metaspace() -> Tokenizer:
    """Like SentencePiece: the space before the first word is lost when it is decoded."""
    vocab = {"▁hello": 0, "▁User": 1, ":": 2, "▁": 3, "s": 4, "▁s": 5}
    raw = Tokenizer(models.WordLevel(vocab, unk_token="▁"))
    raw.decoder = decoders.Metaspace()
    return raw


def _ids(*rows, width=None):
    width = width or max(len(row) for row in rows)
    return torch.tensor([[*row, *[-7] * (width - len(row))] for row in rows])


def _tensor(*values):
    return torch.tensor(values)


NO_SCORES = torch.zeros(1, 12)


def test_eos_equals_eos_token_criteria(build):
    rng = torch.Generator().manual_seed(0)
    rule, theirs = build("eos", eos=(2, 5)), hf.EosTokenCriteria([2, 5])
    for width in range(1, 30):
        ids = torch.randint(0, 7, (4, width), generator=rng)
        assert torch.equal(rule(ids, NO_SCORES), theirs(ids, None))


def test_eos_never_ends_a_row_where_none_is_known(build):
    answer = build("eos", eos=())(_ids([1, 2], [0, 0]), NO_SCORES)
    assert answer.tolist() == [False, False]
    assert answer.dtype == torch.bool


@pytest.mark.parametrize("name", ["eos", "stop_token_ids"])
def test_only_the_newest_real_token_ends_a_row(name, build):
    values = {"ids": [4, -7 % 9]} if name == "stop_token_ids" else {}
    rule = build(name, values, eos=(4, 2))
    ids = torch.tensor([[1, 4, 4, 4], [4, 1, 4, 4], [4, 4, 4, 1], [4, 9, -5, 99]])
    assert rule(ids, NO_SCORES, lengths=_tensor(2, 2, 4, 1)).tolist() == [True, False, False, True]


def test_max_length_equals_max_length_criteria(build):
    rule, theirs = build("max_length", {"max_length": 5}), hf.MaxLengthCriteria(5)
    for width in range(1, 9):
        ids = torch.zeros(3, width, dtype=torch.int64)
        assert torch.equal(rule(ids, NO_SCORES), theirs(ids, None))


def test_length_rules_count_the_tokens_of_each_row(build):
    ids, lengths, prompts = torch.zeros(4, 8, dtype=torch.int64), _tensor(4, 5, 8, 2), _tensor(1, 3, 5, 0)
    assert build("max_length", {"max_length": 5})(ids, NO_SCORES, lengths=lengths).tolist() == [
        False,
        True,
        True,
        False,
    ]
    rule = build("max_new_tokens", {"max_new_tokens": 3}, prompt_lengths=prompts)
    assert rule(ids, NO_SCORES, lengths=lengths).tolist() == [True, False, True, False]
    later = rule(ids, NO_SCORES, lengths=lengths, prompt_lengths=_tensor(4, 2, 8, 2))
    assert later.tolist() == [False, True, False, False]


@pytest.mark.parametrize("name", ["max_length", "max_new_tokens"])
def test_a_limit_is_the_length_at_which_the_rule_first_answers_yes(name, build):
    prompts = _tensor(1, 3, 4, 9)
    rule = build(name, {name: 5}, prompt_lengths=prompts)
    for row, limit in enumerate(rule.limit(prompts).tolist()):
        # The rule is asked after each token, so first at one more than the prompt.
        answers = [
            bool(
                rule(
                    torch.zeros(1, 20, dtype=torch.int64),
                    NO_SCORES,
                    lengths=_tensor(length),
                    prompt_lengths=prompts[row : row + 1],
                )
            )
            for length in range(int(prompts[row]) + 1, 20)
        ]
        assert answers.index(True) + int(prompts[row]) + 1 == limit


def test_max_time_starts_its_clock_when_it_is_built(build, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(clock.time, "monotonic", lambda: now[0])
    rule = build("max_time", {"max_time": 2.5})
    ids = torch.zeros(3, 2, dtype=torch.int64)
    answers = []
    for passed in (0.0, 2.4, 2.6):
        now[0] = 100.0 + passed
        answers.append(rule(ids, NO_SCORES).tolist())
    assert answers == [[False] * 3, [False] * 3, [True] * 3]


@not_with_4["tokenizer"]
def test_stop_strings_equal_stop_string_criteria_on_random_tokens(build):
    raw = _byte_level()
    theirs = hf.StopStringCriteria(PreTrainedTokenizerFast(tokenizer_object=raw), STRINGS)
    rule = build("stop_strings", {"strings": STRINGS}, tokenizer=Fast(raw), prompt_lengths=_tensor(0))
    rng = torch.Generator().manual_seed(3)
    answers = []
    for width in [*range(1, 25)] * 2:
        ids = torch.randint(0, raw.get_vocab_size(), (16, width), generator=rng)
        got = rule(ids, NO_SCORES)
        assert torch.equal(got, theirs(ids, None))
        answers.append(got.float())
    assert 0.1 < float(torch.cat(answers).mean()) < 0.9, (
        "nearly all answers are the same, so this shows little"
    )


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        (["st", "op"], True),
        (["stop"], True),
        (["st", "opera"], True),
        (["las", "topper"], True),
        (["s", "to", "pped"], True),
        (["stop", "at"], False),
        (["st", "opera", "tion"], False),
        (["stop", " ", "stop"], True),
        (["sto", "P"], False),
    ],
)
def test_a_string_counts_when_the_newest_token_completes_it(pieces, expected, build):
    class Pieces(Fast):
        def __init__(self):
            pass

        def decode(self, ids):
            return "".join(pieces[token] for token in ids)

    rule = build("stop_strings", {"strings": "stop"}, tokenizer=Pieces(), prompt_lengths=_tensor(0))
    assert rule(_ids(range(len(pieces))), NO_SCORES).tolist() == [expected]


def test_the_text_of_the_prompt_does_not_count(build):
    rule = build("stop_strings", {"strings": ["stop", "a"]}, prompt_lengths=_tensor(4, 2, 3, 4, 4, 4))
    rows = ["stop", "stop", "stop", "stopx", "stopstop", "stopa"]
    lengths = torch.tensor([len(row) for row in rows])
    ids = _ids(*[[ord(letter) for letter in row] for row in rows])
    assert rule(ids, NO_SCORES, lengths=lengths).tolist() == [False, False, False, False, True, True]
    # Rows were dropped and reordered: the call's own prompt lengths count.
    later = rule(ids[[4, 1]], NO_SCORES, lengths=lengths[[4, 1]], prompt_lengths=_tensor(5, 0))
    assert later.tolist() == [False, True]


def test_a_ragged_batch_of_text_equals_each_row_alone(build):
    rng = torch.Generator().manual_seed(4)
    letters = torch.tensor([ord(letter) for letter in "stop"])
    seen = 0
    for width in [*range(1, 20)] * 8:
        real = letters[torch.randint(0, 4, (5, width), generator=rng)]
        lengths = torch.randint(1, width + 1, (5,), generator=rng)
        prompts = (torch.rand(5, generator=rng) * (lengths + 1)).long()
        garbage = torch.randint(-9, 999, (5, width), generator=rng)
        ids = torch.where(torch.arange(width) < lengths[:, None], real, garbage)
        rule = build("stop_strings", {"strings": ["st", "pot"]}, prompt_lengths=prompts)
        got = rule(ids, NO_SCORES, lengths=lengths).tolist()
        for row, answer in enumerate(got):
            text = "".join(map(chr, real[row, prompts[row] : lengths[row]].tolist()))
            assert answer == text.endswith(("st", "pot"))
        seen += sum(got)
    assert seen > 20


def test_a_long_text_is_searched_at_its_end_only(build):
    decoded = []

    class Counting:
        def decode(self, ids):
            decoded.append(len(ids))
            return "".join(map(chr, ids))

    rule = build("stop_strings", {"strings": ["…stop"]}, tokenizer=Counting(), prompt_lengths=_tensor(0))
    text = "x" * 5000 + "…stop"
    assert rule(_ids([ord(letter) for letter in text]), NO_SCORES).tolist() == [True]
    assert max(decoded) < 20


def test_a_leading_space_counts_although_decoding_strips_it(build):
    tokenizer = Fast(_metaspace())
    assert tokenizer.decode([1, 2]) == "User:"
    rule = build("stop_strings", {"strings": [" User:"]}, tokenizer=tokenizer, prompt_lengths=_tensor(1))
    assert rule(_ids([0, 1, 2]), NO_SCORES).tolist() == [True]
    assert rule(_ids([0, *[4] * 40, 1, 2]), NO_SCORES).tolist() == [True]
    # Where nothing comes before it the text reads 'User:', and so does what the user is shown.
    assert rule(_ids([1, 2]), NO_SCORES, prompt_lengths=_tensor(0)).tolist() == [False]
    # A token a byte: the search must begin before the space.
    rule = build("stop_strings", {"strings": [" ss"]}, tokenizer=tokenizer, prompt_lengths=_tensor(1))
    assert rule(_ids([0, *[4] * 40, 3, 4, 4]), NO_SCORES).tolist() == [True]
    # The space belongs to the prompt here.
    rule = build("stop_strings", {"strings": [" s"]}, tokenizer=tokenizer, prompt_lengths=_tensor(2))
    assert rule(_ids([0, 3, 4]), NO_SCORES).tolist() == [False]
    assert rule(_ids([0, 3, 5]), NO_SCORES).tolist() == [True]


def test_a_character_in_two_tokens_counts_when_its_last_byte_comes(build):
    raw = _byte_level()
    first, second = (raw.token_to_id(piece) for piece in "Ã©")
    rule = build("stop_strings", {"strings": ["é"]}, tokenizer=Fast(raw), prompt_lengths=_tensor(0))
    assert rule(_ids([first]), NO_SCORES).tolist() == [False]
    assert rule(_ids([first, second]), NO_SCORES).tolist() == [True]


def test_the_strings_are_public_for_whoever_trims_the_text(build):
    assert build("stop_strings", {"strings": "\nUser:"}).strings == ("\nUser:",)


def test_stop_strings_without_a_tokenizer_are_refused(build):
    with pytest.raises(
        InvalidInput, match=r"'stop'.*without a tokenizer\n.*tokenizer=\.\.\.\), or stop_token_ids"
    ):
        build("stop_strings", {"strings": "stop"}, tokenizer=None)


def test_stop_ids_outside_the_vocabulary_are_named_where_scores_tell_it(build):
    rule, ids = build("stop_token_ids", {"ids": [4, 12, 19]}), torch.tensor([[4]])
    with pytest.raises(InvalidInput, match=r"stop_token_ids: the token ids \[12, 19\] .* vocabulary of 12"):
        rule(ids, NO_SCORES)
    assert rule(ids, torch.empty(1, 0)).tolist() == [True]
