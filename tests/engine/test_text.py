"""Tokenizers, streams of text and stop strings."""

from __future__ import annotations

import pytest
from engine_support import (
    VOCAB,
    Letters,
    one_hot,
)
from tokenizers import AddedToken, Tokenizer, decoders, models
from transformers import PreTrainedTokenizerFast

from decodery import Decoder, Generation, Pipeline
from decodery.engine.io.generation import Row, TokenLogprobs
from decodery.engine.io.tokenizer import as_tokenizer
from decodery.testing import ScriptedModel


@pytest.mark.parametrize(("include", "text"), [(False, "hi"), (True, "hij")])
def test_the_token_that_ends_a_row_is_no_text_unless_included(include: bool, text: str) -> None:
    for pipe in (Pipeline().stop("eos"), Pipeline().stop("stop_token_ids", [9])):
        decoder = Decoder(
            ScriptedModel(one_hot(7, 8, 9)),
            pipe.with_options(include_stop=include),
            tokenizer=Letters(),
            vocab_size=VOCAB,
            eos_token_id=9,
        )
        assert decoder.generate([[1]]).texts == [text]


def test_text_ends_at_the_first_of_two_stop_strings() -> None:
    class Pairs(Letters):
        """Token i is two letters."""

        def decode(self, ids: list[int]) -> str:
            return "".join(chr(97 + token) * 2 + "." for token in ids)

    pipe = Pipeline().stop("stop_strings", ["b.", "bb"])
    decoder = Decoder(ScriptedModel(one_hot(0, 1)), pipe, tokenizer=Pairs(), vocab_size=VOCAB)
    assert decoder.generate([[4]]).texts == ["aa."]


def _library() -> Tokenizer:
    words = {word: place for place, word in enumerate(["a", "▁b", "▁,", "</s>"])}
    tokenizer = Tokenizer(models.WordLevel(words, "a"))
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.add_special_tokens([AddedToken("</s>", special=True)])
    return tokenizer


def test_special_tokens_are_no_text_and_text_is_not_tidied_up() -> None:
    ours = as_tokenizer(_library())
    fast = PreTrainedTokenizerFast(
        tokenizer_object=_library(), eos_token="</s>", clean_up_tokenization_spaces=True
    )
    theirs = as_tokenizer(fast)
    assert ours.decode([0, 2, 1, 3]) == theirs.decode([0, 2, 1, 3]) == "a , b"
    assert (ours.eos, theirs.eos) == ((), (3,))


def test_minus_one_is_how_sentencepiece_says_none() -> None:
    class Pieces(Letters):
        bos_id, eos_id, pad_id = 1, 2, -1

    known = as_tokenizer(Pieces())
    assert (known.bos, known.eos, known.pad) == (1, (2,), None)


def test_log_probabilities_are_there_for_all_rows_or_for_none() -> None:
    entry = TokenLogprobs(1, -1.0, -1.0)
    rows = [Row(i, 0, (1,), [1], None, "length", None, kept) for i, kept in enumerate(([entry], None))]
    assert Generation(rows, 0).logprobs is None
    assert Generation(rows[:1], 0).logprobs == [[entry]]
