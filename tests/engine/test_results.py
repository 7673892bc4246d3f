"""Results, streams, prompts: what goes in and what comes out."""

from __future__ import annotations

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from decodery import Decoder, Pipeline
from decodery.contracts.errors import InvalidInput, ModelError
from decodery.engine.io.text import Detokenizer, RowText
from decodery.engine.io.tokenizer import as_tokenizer
from decodery.testing import ScriptedModel, TableModel

VOCAB = 40


def one_hot(*tokens: int, vocab: int) -> torch.Tensor:
    """A script that plays these tokens after a prompt of one."""
    script = torch.zeros(len(tokens), vocab)
    script[range(len(tokens)), list(tokens)] = 9.0
    return script


@pytest.fixture(scope="module")
def byte_tokenizer() -> Tokenizer:
    """256 byte tokens: every character beyond ASCII takes several of them."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({c: i for i, c in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def spelling(text: str, tokenizer: Tokenizer) -> Decoder:
    ids = tokenizer.encode(text).ids
    pipe = Pipeline().stop("max_new_tokens", len(ids))
    return Decoder(ScriptedModel(one_hot(*ids, vocab=256)), pipe, tokenizer=tokenizer, vocab_size=256)


def test_all_forms_of_prompts_mean_the_same() -> None:
    decoder = Decoder(TableModel(VOCAB), vocab_size=VOCAB)
    expected = decoder.generate([[3, 4, 5]], max_new_tokens=4).tokens
    for prompt in (
        [3, 4, 5],
        torch.tensor([3, 4, 5]),
        torch.tensor([[3, 4, 5]]),
        [torch.tensor([3, 4, 5])],
        (3, 4, 5),
        torch.tensor([[3, 4, 5]], dtype=torch.int32),
    ):
        assert decoder.generate(prompt, max_new_tokens=4).tokens == expected


def test_results_have_the_promised_shapes() -> None:
    decoder = Decoder(
        TableModel(VOCAB), Pipeline().add("top_k", 5), vocab_size=VOCAB, eos_token_id=1, pad_token_id=0
    )
    gen = decoder.generate([[3], [4, 5, 6]], max_new_tokens=4, logprobs=2, return_scores=True)
    assert gen.sequences.shape == (2, 7)
    assert gen.sequences[0].tolist() == [3, *gen.tokens[0], *[0] * (6 - len(gen.tokens[0]))]
    assert gen.scores is not None
    assert [s.shape for s in gen.scores] == [(len(t), VOCAB) for t in gen.tokens]
    assert gen.logprobs is not None
    first = gen.logprobs[0][0]
    raw = TableModel(VOCAB)(torch.tensor([[3]]))[0, -1].log_softmax(-1)
    assert first.raw == pytest.approx(float(raw[first.token]))
    assert first.processed == pytest.approx(
        float(raw[first.token] - raw.topk(5).values.logsumexp(-1)), rel=1e-5
    )
    assert [token for token, _ in first.top_raw] == raw.topk(2).indices.tolist()
    assert (gen.texts, gen.sequence_scores, gen[1].prompt_index) == ([], None, 1)
    assert decoder.generate([[3]], max_new_tokens=1).logprobs is None


def test_finish_reasons_and_the_eos_that_is_kept() -> None:
    script = one_hot(7, 8, 1, 9, vocab=VOCAB)
    decoder = Decoder(ScriptedModel(script), vocab_size=VOCAB, eos_token_id=1)
    gen = decoder.generate([[3]])
    assert (gen.tokens, gen.finish_reasons) == ([[7, 8, 1]], ["eos"])
    assert decoder.generate([[3]], max_new_tokens=2).finish_reasons == ["length"]
    ids = Pipeline().stop("stop_token_ids", [8])
    assert Decoder(ScriptedModel(script), ids, vocab_size=VOCAB).generate([[3]]).finish_reasons == [
        "stop_token_ids"
    ]
    own = Pipeline().stop(lambda input_ids, scores: input_ids.shape[1] >= 4)
    assert Decoder(ScriptedModel(script), own, vocab_size=VOCAB).generate([[3]]).tokens == [[7, 8, 1]]


def test_a_full_context_ends_a_row_and_a_longer_prompt_is_refused() -> None:
    seen = 0

    def model(x: torch.Tensor) -> torch.Tensor:
        nonlocal seen
        seen = max(seen, x.shape[1])
        return TableModel(VOCAB)(x)

    decoder = Decoder(model, vocab_size=VOCAB, max_length=6)
    gen = decoder.generate([[1, 2], [3, 4, 5, 6, 7]])
    assert gen.finish_reasons == ["context"] * 2
    assert [len(row) for row in gen.sequences.tolist()] == [6, 6]
    assert seen <= 6
    assert decoder.generate([[1] * 6]).finish_reasons == ["context"]
    with pytest.raises(InvalidInput, match="prompt 1 has 7 tokens"):
        decoder.generate([[1], [1] * 7])


@pytest.mark.parametrize(
    ("prompts", "message"),
    [
        ([], "no prompts"),
        ([[]], "prompt 0 is empty"),
        ("text", "no tokenizer"),
        ([[1], [VOCAB]], "prompt 1, token 0"),
        ([[-1]], "prompt 0, token 0"),
        (torch.zeros(2, 2), "float32"),
        (torch.zeros(1, 1, 1).long(), "shape"),
        (7, "int"),
        ([[1], "a"], "prompt 1 is text"),
        ([[1.5]], "prompt 0 is"),
        ([None], "prompt 0 is"),
    ],
)
def test_prompts_that_cannot_be_used_are_named(prompts: object, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        Decoder(TableModel(VOCAB), vocab_size=VOCAB).generate(prompts)  # type: ignore[arg-type]


def test_arguments_that_cannot_be_meant_are_refused(byte_tokenizer: Tokenizer) -> None:
    decoder = Decoder(TableModel(VOCAB), Pipeline().with_strategy("sample"), vocab_size=VOCAB)
    for arguments in (
        {"n": 0},
        {"n": True},
        {"seed": -1},
        {"seed": 2**64},
        {"seeds": [1, 2]},
        {"seeds": [1.5]},
    ):
        with pytest.raises(InvalidInput):
            decoder.generate([[1]], **arguments)  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="256 tokens, the model's vocabulary 40"):
        Decoder(TableModel(VOCAB), tokenizer=byte_tokenizer, vocab_size=VOCAB)
    with pytest.raises(ModelError):
        Decoder(lambda x: "text", vocab_size=VOCAB).generate([[1]])


def test_an_empty_text_becomes_bos_where_there_is_one() -> None:
    class Characters:
        vocab_size, bos_id = VOCAB, 2

        def encode(self, text: str) -> list[int]:
            return [ord(c) - 60 for c in text]

        def decode(self, ids: list[int]) -> str:
            return "".join(chr(i + 60) for i in ids)

    gen = Decoder(TableModel(VOCAB), tokenizer=Characters(), vocab_size=VOCAB).generate("", max_new_tokens=3)
    assert gen[0].prompt == (2,)
    assert len(gen.texts[0]) == 3


def test_bytes_are_held_back_until_they_decode(byte_tokenizer: Tokenizer) -> None:
    text = "né 🙂日本"
    decoder = spelling(text, byte_tokenizer)
    events = list(decoder.stream([[64]]))
    assert "".join(event.text for event in events) == text
    assert all("\ufffd" not in event.text for event in events)
    assert len(events) == len(text.encode())
    assert [e.finished for e in events] == [None] * (len(events) - 1) + ["length"]
    assert decoder.generate([[64]]).texts == [text]


def test_bytes_that_never_decode_are_shown_at_the_end(byte_tokenizer: Tokenizer) -> None:
    ids = byte_tokenizer.encode("a🙂").ids[:-1]
    decoder = Decoder(
        ScriptedModel(one_hot(*ids, vocab=256)),
        Pipeline().stop("max_new_tokens", len(ids)),
        tokenizer=byte_tokenizer,
        vocab_size=256,
    )
    events = list(decoder.stream([[64]]))
    assert "".join(e.text for e in events) == decoder.generate([[64]]).texts[0]
    assert events[-1].text.startswith("\ufffd")


@pytest.mark.parametrize(("include", "expected"), [(False, "one two"), (True, "one two END")])
def test_a_stop_string_is_never_shown_unless_included(
    byte_tokenizer: Tokenizer, include: bool, expected: str
) -> None:
    ids = byte_tokenizer.encode("one two END three").ids
    pipe = (
        Pipeline()
        .stop("stop_strings", [" END"])
        .stop("max_new_tokens", 30)
        .with_options(include_stop=include)
    )
    decoder = Decoder(ScriptedModel(one_hot(*ids, vocab=256)), pipe, tokenizer=byte_tokenizer, vocab_size=256)
    gen = decoder.generate([[64]])
    assert (gen.texts, gen.finish_reasons) == ([expected], ["stop_string"])
    stream = decoder.stream([[64]])
    assert "".join(event.text for event in stream) == expected
    assert stream.result.tokens == gen.tokens


def test_what_only_began_like_a_stop_string_is_shown(byte_tokenizer: Tokenizer) -> None:
    ids = byte_tokenizer.encode("a ENd b EN").ids
    pipe = Pipeline().stop("stop_strings", [" END"]).stop("max_new_tokens", len(ids))
    decoder = Decoder(ScriptedModel(one_hot(*ids, vocab=256)), pipe, tokenizer=byte_tokenizer, vocab_size=256)
    assert "".join(event.text for event in decoder.stream([[64]])) == "a ENd b EN"


def test_a_stream_of_a_batch_is_the_batch(byte_tokenizer: Tokenizer) -> None:
    pipe = Pipeline().with_strategy("sample", seed=4)
    decoder = Decoder(TableModel(256), pipe, tokenizer=byte_tokenizer, vocab_size=256, eos_token_id=10)
    prompts = ["ab", "c", "defg"]
    gen = decoder.generate(prompts, n=2, max_new_tokens=30)
    stream = decoder.stream(prompts, n=2, max_new_tokens=30, logprobs=0)
    rows: list[list[int]] = [[] for _ in range(6)]
    texts, ends = [""] * 6, [""] * 6
    for event in stream:
        assert ends[event.row] == ""
        if event.token is not None:
            rows[event.row].append(event.token)
            assert event.logprob is not None
            assert event.logprob <= 0
        texts[event.row] += event.text
        ends[event.row] = event.finished or ""
    assert (rows, texts, ends) == (gen.tokens, gen.texts, gen.finish_reasons)
    assert stream.result.tokens == gen.tokens


def test_a_stream_left_early_says_interrupted() -> None:
    stream = Decoder(TableModel(VOCAB), vocab_size=VOCAB).stream([[1]], max_new_tokens=9)
    first = next(stream)
    assert stream.result.tokens == [[first.token]]
    assert stream.result.finish_reasons == ["interrupted"]


def test_a_special_token_in_mid_text_does_not_swallow_the_next_space() -> None:
    class Pieces:
        """Skips special tokens, and drops the space at the beginning of what it decodes, as Llama's does."""

        words = ("", "\u2581fox", "\u2581cat")
        vocab_size = 3

        def encode(self, text: str) -> list[int]:
            return [1]

        def decode(self, ids: list[int]) -> str:
            return "".join(self.words[i] for i in ids).replace("\u2581", " ").removeprefix(" ")

    detokenizer = Detokenizer(as_tokenizer(Pieces()), [1])
    assert [detokenizer.push(t) for t in (1, 0, 0, 2, 2)] == [" fox", "", "", " cat", " cat"]


def test_the_leading_space_of_a_sentencepiece_word_survives() -> None:
    class Pieces:
        """As Llama's tokenizer decodes: a word's space vanishes at the beginning of what is decoded."""

        words = ("<s>", "\u2581Hello", "\u2581world", "ly")
        vocab_size = 4

        def encode(self, text: str) -> list[int]:
            return [1]

        def decode(self, ids: list[int]) -> str:
            return "".join(self.words[i] for i in ids).replace("\u2581", " ").removeprefix(" ")

    detokenizer = Detokenizer(as_tokenizer(Pieces()), [1])
    assert [detokenizer.push(2), detokenizer.push(3), detokenizer.push(2)] == [" world", "ly", " world"]
    text = RowText(as_tokenizer(Pieces()), [1], [], include_stop=False)
    assert text.push(2, None) + text.push(3, "length") == " worldly"
