"""Tokenizers that nobody here wrote, trained or made in the test, behind one face: prompts, streams, stop strings."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from decodery import Decoder, Pipeline
from decodery.contracts.errors import InvalidInput
from decodery.engine.io.text import Detokenizer
from decodery.engine.io.tokenizer import as_tokenizer
from decodery.testing import ScriptedModel

CORPUS = [
    "Hello world, this is a story of the old man and the sea.",
    "Once upon a time there was a little girl who lived in the wood.",
    "naïve café déjà vu",
    "日本語の文章です。",
] * 20
TEXT = "Hello world, 日本語の café 🎉👩‍👧 Привет the end of the story"


def _sentencepiece(kind: str, **options: Any) -> Any:
    sentencepiece = pytest.importorskip("sentencepiece")
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(CORPUS), model_writer=model, model_type=kind, vocab_size=400, minloglevel=2,
        byte_fallback=True, character_coverage=0.98, hard_vocab_limit=False,
    )  # fmt: skip
    return sentencepiece.SentencePieceProcessor(model_proto=model.getvalue(), **options)


def _tiktoken() -> Any:
    tiktoken = pytest.importorskip("tiktoken")
    ranks = {bytes([byte]): byte for byte in range(256)}
    ranks |= {piece: 256 + at for at, piece in enumerate([b"He", b"ll", b" w", b"or", b" the", b"th"])}
    special = {"<|endoftext|>": 300, "<|user|>": 301}
    return tiktoken.Encoding("own", pat_str=r" ?\S+|\s+", mergeable_ranks=ranks, special_tokens=special)


def _library() -> Tokenizer:
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer, inner.decoder = (
        pre_tokenizers.ByteLevel(add_prefix_space=False),
        decoders.ByteLevel(),
    )
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    inner.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=400, initial_alphabet=alphabet))
    return inner


MAKERS = {
    "sentencepiece bpe": lambda: _sentencepiece("bpe"),
    "sentencepiece unigram": lambda: _sentencepiece("unigram"),
    "tiktoken": _tiktoken,
    "tokenizers": _library,
    "transformers": lambda: PreTrainedTokenizerFast(tokenizer_object=_library()),
}
_made: dict[str, Any] = {}


@pytest.fixture(params=MAKERS)
def tokenizer(request: pytest.FixtureRequest) -> Any:
    if request.param not in _made:
        _made[request.param] = MAKERS[request.param]()
    return _made[request.param]


def _saying(known: Any, prompt: list[int], ids: list[int], recipe: Pipeline | None = None) -> Any:
    """The stream of a model that says these ids after this prompt."""
    script = torch.tensor([0] * (len(prompt) - 1) + ids)  # it plays by position
    rows = torch.nn.functional.one_hot(script, known.size + 3).float() * 9
    pipe = (recipe or Pipeline()).stop("max_new_tokens", len(ids))
    decoder = Decoder(ScriptedModel(rows), pipe, tokenizer=known.inner, vocab_size=known.size + 3)
    return decoder.stream([prompt])


def _finished(stream: Any) -> Any:
    for _ in stream:
        pass
    return stream.result[0]


def test_a_text_comes_back_as_it_went_in(tokenizer: Any) -> None:
    known = as_tokenizer(tokenizer)
    ids = known.encode(TEXT)
    assert known.decode(ids) == TEXT
    assert 0 < max(ids) < known.size
    assert as_tokenizer(known) is known


def test_a_stream_begins_anywhere_and_breaks_no_character(tokenizer: Any) -> None:
    """From every place of the text, in the middle of characters too: what a person reads goes on seamlessly."""
    known = as_tokenizer(tokenizer)
    ids = known.encode(TEXT)
    for cut in range(1, len(ids)):
        detokenizer = Detokenizer(known, ids[:cut])
        pieces = [*map(detokenizer.push, ids[cut:]), detokenizer.flush()]
        told = "".join(pieces)
        whole = known.decode(ids[:cut]).rstrip("\ufffd")
        assert whole + told == TEXT, (cut, told)
        assert not any("\ufffd" in piece for piece in pieces)


def test_a_decoder_streams_what_its_result_says(tokenizer: Any) -> None:
    known = as_tokenizer(tokenizer)
    ids = known.encode("Once upon " + TEXT)
    prompt = ids[:2]
    stream = _saying(known, prompt, ids[2:])
    told = "".join(event.text for event in stream)
    assert told == stream.result.texts[0] == known.decode(ids)[len(known.decode(prompt)) :]


def test_a_stop_string_across_tokens_ends_a_row(tokenizer: Any) -> None:
    known = as_tokenizer(tokenizer)
    ids = known.encode(TEXT)
    row = _finished(_saying(known, known.encode("the"), ids, Pipeline().stop("stop_strings", ["語の c"])))
    assert row.finish_reason == "stop_string"
    assert row.text.strip() == "Hello world, 日本"


def test_ids_beyond_the_tokenizer_are_no_text_and_no_end(tokenizer: Any) -> None:
    """A model's output is often padded: what it draws there must not kill the stream."""
    known = as_tokenizer(tokenizer)
    ids = known.encode("Hello world")
    row = _finished(_saying(known, known.encode("the"), [*ids[:1], known.size + 1, *ids[1:], known.size + 2]))
    assert row.text.strip() == "Hello world"


# -- sentencepiece and tiktoken -------------------------------------------------------------------------------


def test_sentencepiece_says_its_special_tokens_by_methods() -> None:
    known = as_tokenizer(_sentencepiece("bpe"))
    assert (known.bos, known.eos, known.pad) == (1, (2,), None)
    assert known.decode([1, *known.encode("the sea"), 2]) == "the sea"


def test_a_processor_that_ends_every_text_does_not_end_a_prompt() -> None:
    plain = as_tokenizer(_sentencepiece("bpe")).encode("the sea")
    known = as_tokenizer(_sentencepiece("bpe", add_bos=True, add_eos=True, out_type=str))
    assert known.encode("the sea") == [1, *plain]
    assert known.encode("the sea", special=False) == plain


def test_an_object_with_the_old_names_alone_is_sentencepiece_enough() -> None:
    new = _sentencepiece("bpe")
    old = SimpleNamespace(
        EncodeAsIds=lambda text: new.encode(text),  # noqa: PLW0108 (takes nothing else)
        DecodeIds=new.decode,
        GetPieceSize=new.GetPieceSize,
        bos_id=lambda: 1,
        eos_id=lambda: 2,
    )
    known = as_tokenizer(old)
    assert (known.size, known.eos, known.decode(known.encode("the sea"))) == (
        new.GetPieceSize(),
        (2,),
        "the sea",
    )


def test_tiktokens_special_tokens_are_tokens_of_a_prompt_and_no_text() -> None:
    known = as_tokenizer(_tiktoken())
    assert known.eos == (300,)
    ids = known.encode("<|user|>Hello<|endoftext|>")
    assert (ids[0], ids[-1]) == (301, 300)
    assert known.decode(ids) == "Hello"
    assert known.decode([280, -1, 10**30]) == ""  # between the ranks there is nothing


def test_a_decoder_ends_at_the_tokenizers_own_end() -> None:
    for maker, end in ((_tiktoken, 300), (lambda: _sentencepiece("bpe"), 2)):
        known = as_tokenizer(maker())
        ids = known.encode("the sea")
        row = _finished(_saying(known, [ids[0]], [*ids, end, *ids], Pipeline().stop("eos")))
        assert (row.finish_reason, row.tokens[-1]) == ("eos", end)
        assert str(row.text).strip() == "the sea"


# -- of one's own ---------------------------------------------------------------------------------------------


class _Published:
    """As the tokenizer beside the first Llama weights: whether to begin and to end must be said."""

    n_words, bos_id, eos_id, pad_id = 30, 1, 2, -1

    def encode(self, s: str, bos: bool, eos: bool) -> list[int]:
        return [1] * bos + [ord(letter) - 94 for letter in s] + [2] * eos

    def decode(self, t: list[int]) -> str:
        return "".join(chr(token + 94) for token in t if token > 2)


class _Ending(_Published):
    """As torchtune's: it ends texts unless told not to."""

    def encode(self, text: str, add_bos: bool = True, add_eos: bool = True) -> list[int]:
        return super().encode(text, add_bos, add_eos)


@pytest.mark.parametrize("kind", [_Published, _Ending])
def test_a_prompt_is_begun_but_never_ended(kind: type) -> None:
    known = as_tokenizer(kind())
    assert known.encode("abc") == [1, 3, 4, 5]
    assert known.encode("abc", special=False) == [3, 4, 5]
    assert (known.size, known.bos, known.eos, known.pad) == (30, 1, (2,), None)


@pytest.mark.parametrize(
    "ids",
    [
        [3, 4],
        (3, 4),
        np.array([3, 4]),
        torch.tensor([[3, 4]]),
        [[3, 4]],
        {"input_ids": [3, 4]},
        SimpleNamespace(ids=[3, 4]),
        np.array([3, 4]).astype(np.int32).tolist(),
        iter([np.int64(3), np.int64(4)]),
    ],
    ids=lambda ids: type(ids).__name__,
)
def test_ids_may_come_in_any_wrapping(ids: Any) -> None:
    known = as_tokenizer(SimpleNamespace(encode=lambda text: ids, decode=lambda ids: b"\xe6\x97\xa5\xff"))
    assert known.encode("x") == [3, 4]
    assert known.decode([1]) == "日\ufffd"


@pytest.mark.parametrize("ids", [["He", "llo"], "Hello", None, [1.5], 7])
def test_pieces_and_other_things_are_no_ids(ids: Any) -> None:
    known = as_tokenizer(SimpleNamespace(encode=lambda text: ids, decode=str))
    with pytest.raises(InvalidInput, match=r"encode gives .*\n.*must give a list of token ids"):
        known.encode("Hello")


@pytest.mark.parametrize("text", [["He", "llo"], None, 7])
def test_what_is_decoded_must_be_text(text: Any) -> None:
    known = as_tokenizer(SimpleNamespace(encode=list, decode=lambda ids: text))
    with pytest.raises(InvalidInput, match=r"decode gives .*\n.*must give a text"):
        known.decode([1])


@pytest.mark.parametrize("thing", [None, 5, "gpt2", object(), SimpleNamespace(encode=1, decode=2)])
def test_what_can_neither_encode_nor_decode_is_refused(thing: Any) -> None:
    with pytest.raises(InvalidInput, match="is no tokenizer"):
        as_tokenizer(thing)


def test_several_ends_are_ends() -> None:
    known = as_tokenizer(SimpleNamespace(encode=list, decode=str, eos_id=[5, 7], vocab_size=lambda: 9))
    assert (known.eos, known.size) == ((5, 7), 9)
