"""Texts in parameters, looked up in sentencepiece's and tiktoken's vocabularies."""

from __future__ import annotations

import io
from typing import Any

import pytest
import torch

from decodery import Decoder, Pipeline
from decodery.engine.io.tokenizer import as_tokenizer
from decodery.testing import UniformModel
from decodery_samplers.text.tokens import token_ids, vocabulary

TEXT = "the old man and the sea of the old world"


def _sentencepiece() -> Any:
    sentencepiece = pytest.importorskip("sentencepiece")
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([TEXT] * 30), model_writer=model, model_type="bpe", vocab_size=310, minloglevel=2,
        byte_fallback=True, hard_vocab_limit=False,
    )  # fmt: skip
    return sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())


def _tiktoken() -> Any:
    tiktoken = pytest.importorskip("tiktoken")
    ranks = {bytes([byte]): byte for byte in range(256)}
    for at, piece in enumerate(
        [b"th", b"the", b" t", b" th", b" the", b"se", b"sea", b" s", b" se", b" sea"]
    ):
        ranks[piece] = 256 + at
    return tiktoken.Encoding("own", pat_str=r" ?\S+|\s+", mergeable_ranks=ranks, special_tokens={})


@pytest.mark.parametrize("make", [_sentencepiece, _tiktoken])
def test_the_texts_of_tokens_join_to_the_text_and_are_found_by_it(make: Any) -> None:
    known = as_tokenizer(make())
    words = vocabulary(known)
    ids = known.encode(TEXT)
    assert words.text(ids).lstrip() == TEXT
    inner = known.encode("a the")[-1]  # as it stands in a text, with its space
    assert inner in token_ids(["the"], known, "a step")
    assert {words.texts[token].strip() for token in token_ids(["the"], known, "a step")} == {"the"}


@pytest.mark.parametrize("make", [_sentencepiece, _tiktoken])
def test_a_banned_text_never_comes(make: Any) -> None:
    known = as_tokenizer(make())
    texts = vocabulary(known).texts
    the = token_ids(["the"], known, "a step")
    pipe = (
        Pipeline()
        .add("decodery-samplers/allowed_tokens", ["the", "a"])
        .add("decodery-samplers/banned_tokens", ["a"])
    )
    pipe = pipe.with_strategy("sample", seed=3).stop("max_new_tokens", 20)
    decoder = Decoder(UniformModel(known.size), pipe, tokenizer=known.inner, vocab_size=known.size)
    [tokens] = decoder.generate(torch.tensor([[1]])).tokens
    assert set(tokens) <= the
    assert {texts[token].strip() for token in tokens} == {"the"}
