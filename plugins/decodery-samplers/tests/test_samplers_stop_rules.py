"""The stop rules of the package, in whole runs and by hand."""

from __future__ import annotations

import re

import pytest
import torch
from test_texts_are_bound_to_tokens import Pieces

from decodery import Decoder, Pipeline
from decodery.contracts.errors import InvalidParams
from decodery.testing import TableModel, UniformModel
from decodery_samplers.stopping.loop import loops
from decodery_samplers.stopping.texts import SENTENCE

TOKENS = Pieces("a", "b", "B", ".", " ", "!", "ab", "1", "2")


def run(rule: str, *value: object, seed: int = 1, **params: object) -> list[tuple[str, str]]:
    pipe = Pipeline().with_strategy("sample").stop(rule, *value, **params).stop("max_new_tokens", 60)
    rows = Decoder(UniformModel(9), pipe, tokenizer=TOKENS).generate([[3], [4, 3], [0, 0, 0]], n=6, seed=seed)
    return [(row.text, row.finish_reason) for row in rows]


@pytest.mark.parametrize(
    ("rule", "params", "pattern"),
    [
        ("stop_regex", {"pattern": r"[12]{2}\.?"}, r"[12]{2}"),
        ("stop_phrases_any", {"phrases": ["ba", "1."]}, r"ba|1\."),
        ("stop_phrases_any", {"phrases": ["Ba"], "ignore_case": True}, r"(?i)ba"),
        ("stop_phrases_any", {"phrases": ["b"], "whole_words": True}, r"(?<!\w)b(?=\W)"),
    ],
)
def test_a_row_ends_with_the_token_that_makes_the_text_match(rule: str, params: dict, pattern: str) -> None:
    ended = 0
    for text, reason in run(rule, **params):
        assert (reason == rule) == bool(re.search(pattern, text)), text
        if reason == rule:
            ended += 1
            last = max((p for p in TOKENS.pieces if text.endswith(p)), key=len)
            assert not re.search(pattern, text[: -len(last)]), text
    assert ended > 5


def test_a_pattern_that_is_none_is_refused_where_it_is_written() -> None:
    with pytest.raises(InvalidParams, match="unterminated"):
        Pipeline().stop("stop_regex", "[a")


def test_a_row_ends_after_so_many_sentences() -> None:
    ended = [text for text, reason in run("sentences", 2) if reason == "sentences"]
    assert len(ended) > 3
    assert all(len(SENTENCE.findall(text)) == 2 for text in ended)
    assert SENTENCE.findall('He said "No." Then ... 3.5 pounds? Yes!') == ['."', "...", "?", "!"]


def test_a_loop_is_a_pattern_so_many_times_over() -> None:
    def looped(tokens: list[int], longest: int, times: int, prompt: int = 0) -> bool:
        ids = torch.tensor([tokens])
        return bool(loops(ids, torch.tensor([len(tokens)]), torch.tensor([prompt]), longest, times)[0])

    assert looped([9, 1, 2, 1, 2, 1, 2], 2, 3)
    assert not looped([9, 1, 2, 1, 2, 1, 2], 1, 3)
    assert not looped([9, 1, 2, 1, 2, 1, 2], 2, 4)
    assert not looped([1, 2, 1, 2, 1, 2], 2, 3, prompt=1)  # the prompt does not count
    assert looped([5, 5, 5, 5], 3, 4)


def test_greedy_decoding_ends_in_its_loop() -> None:
    pipe = Pipeline().stop("loop", 30, times=3).stop("max_new_tokens", 400)
    model = TableModel(9, states=12)
    row = Decoder(model, pipe).generate([[1]])[0]
    assert row.finish_reason == "loop"
    tail = row.tokens
    assert any(tail[-p:] == tail[-2 * p : -p] == tail[-3 * p : -2 * p] for p in range(1, 31))
