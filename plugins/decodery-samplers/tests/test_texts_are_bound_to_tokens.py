"""Texts in bans, biases, breakers and budgets: every way of spelling them, through real tokenizers."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
import torch

from decodery import Decoder, Pipeline
from decodery.contracts.errors import InvalidInput
from decodery.engine.io.tokenizer import as_tokenizer
from decodery.testing import ScriptedModel, UniformModel
from decodery_demo.load import load
from decodery_samplers.text.bias import AllowedTokens, BannedTokens, LogitBias
from decodery_samplers.text.infill import infill
from decodery_samplers.text.spellings import Spellings
from decodery_samplers.text.tokens import Vocabulary, token_ids, vocabulary

inf = math.inf


class Pieces:
    """Tokens are the given pieces; text is cut greedily, longest piece first."""

    bos, pad = None, None

    def __init__(self, *pieces: str, eos: Sequence[int] = ()) -> None:
        self.pieces, self.size, self.eos = pieces, len(pieces), tuple(eos)
        self.vocab_size = self.size

    def encode(self, text: str, special: bool = True) -> list[int]:
        ids: list[int] = []
        while text:
            fitting = [token for token, piece in enumerate(self.pieces) if piece and text.startswith(piece)]
            if not fitting:
                return []
            ids.append(max(fitting, key=lambda token: len(self.pieces[token])))
            text = text[len(self.pieces[ids[-1]]) :]
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        return "".join(self.pieces[token] for token in ids)


@pytest.fixture(scope="module")
def demo() -> Vocabulary:
    return vocabulary(as_tokenizer(load()[1]))


def test_the_texts_of_tokens_join_to_the_text(demo: Vocabulary) -> None:
    text = "It was the best of times, said Mr. Darcy; it was the worst."
    ids = demo.tokenizer.encode(text, special=False)
    assert demo.text(ids) == text
    assert demo.texts[demo.tokenizer.encode(" was", special=False)[0]] == " was"


def test_a_vocabulary_is_read_once(demo: Vocabulary) -> None:
    assert vocabulary(demo.tokenizer) is demo


def test_a_text_is_a_token_with_and_without_a_space_and_in_any_case_as_asked(demo: Vocabulary) -> None:
    ids = token_ids(["the"], demo.tokenizer, "test")
    assert sorted(demo.texts[token] for token in ids) == [" the", "the"]
    ids = token_ids(["the"], demo.tokenizer, "test", ignore_case=True)
    assert {" the", "the", " The", "The"} <= {demo.texts[token] for token in ids}
    with pytest.raises(InvalidInput, match="no token of the vocabulary reads 'the best of times'"):
        token_ids(["the best of times"], demo.tokenizer, "test")
    with pytest.raises(InvalidInput, match="no tokenizer is known"):
        token_ids(["the"], None, "test")


def test_every_split_of_a_text_is_found() -> None:
    words = Vocabulary(Pieces("c", "a", "t", "ca", "at", "cat", " cat", " c", "con", " "))
    spell = Spellings(words, ["cat"])
    name = {piece: token for token, piece in enumerate(words.texts)}

    def after(*pieces: str) -> list[str]:
        return sorted(words.texts[token] for _, token in spell.completing([name[piece] for piece in pieces]))

    assert after() == [" cat", "cat"]
    assert after("c") == [" cat", "at", "cat"]
    assert after(" c", "a") == [" cat", "cat", "t"]
    assert after("ca") == [" cat", "cat", "t"]
    assert after(" ", "c") == [" cat", "at", "cat"]
    assert after("t", "a") == [" cat", "cat"]


def brute_force(pieces: Sequence[str], tail: Sequence[int], text: str) -> set[int]:
    """Tokens after which some number of last tokens reads the text."""
    found = set()
    for token in range(len(pieces)):
        for count in range(len(tail) + 1):
            read = "".join(pieces[t] for t in tail[len(tail) - count :]) + pieces[token]
            if read in (text, " " + text):
                found.add(token)
    return found


def test_spellings_are_those_that_trying_all_finds() -> None:
    pieces = ["a", "b", "ab", "ba", " a", " ", "aba", "bab", " ab"]
    words = Vocabulary(Pieces(*pieces))
    generator = torch.Generator().manual_seed(0)
    for text in ("a", "ab", "aab", "abba", "babab"):
        spell = Spellings(words, [text])
        for _ in range(100):
            tail = torch.randint(0, len(pieces), (6,), generator=generator).tolist()
            assert {token for _, token in spell.completing(tail)} == brute_force(pieces, tail, text)


def test_a_banned_text_never_appears_in_any_tokens() -> None:
    pieces = Pieces("c", "a", "t", "ca", "at", "cat", " ")
    pipe = Pipeline().add("banned_tokens", ["cat"]).with_strategy("sample").stop("max_new_tokens", 40)
    decoder = Decoder(UniformModel(7), pipe, tokenizer=pieces)
    free = Decoder(UniformModel(7), pipe.drop("banned_tokens"), tokenizer=pieces)
    seen = [
        sum(one.generate([[6]], n=30, seed=1).texts[row].count("cat") for row in range(30))
        for one in (decoder, free)
    ]
    assert seen[0] == 0
    assert seen[1] > 30


def test_openais_string_keys_are_ids() -> None:
    step = Pipeline().add("logit_bias", {"1": -100, "2": 1.5}).processors[0].params
    assert step.biases == ((1, -100.0), (2, 1.5))
    scores = LogitBias(biases=step.biases)(torch.tensor([[0]]), torch.zeros(1, 4))
    assert scores.tolist() == [[0.0, -100.0, 1.5, 0.0]]
    with pytest.raises(InvalidInput, match=r"\[9\] are outside the vocabulary of 4"):
        LogitBias(biases=[(9, 1.0)])(torch.tensor([[0]]), torch.zeros(1, 4))


def test_ids_need_no_tokenizer_and_no_bind() -> None:
    pipe = Pipeline().add("banned_tokens", [1]).add("allowed_tokens", [0, 1, 2]).add("logit_bias", {"2": 1.0})
    assert pipe(torch.tensor([[0]]), torch.zeros(1, 4)).tolist() == [[0.0, -inf, 1.0, -inf]]
    with pytest.raises(InvalidInput, match="'word' is a text, and no tokenizer is known"):
        Pipeline().add("banned_tokens", ["word"])(torch.tensor([[0]]), torch.zeros(1, 4))


def test_allowed_tokens_leave_nothing_else(demo: Vocabulary) -> None:
    step = AllowedTokens(tokens=["yes", "no", 17], ignore_case=True, tokenizer=demo.tokenizer)
    answer = step(torch.tensor([[0]]), torch.zeros(1, demo.tokenizer.size))
    left = {demo.texts[token].strip().lower() for token in answer[0].isfinite().nonzero().flatten().tolist()}
    assert left == {"yes", "no", demo.texts[17].strip().lower()}


def test_a_bias_on_a_text_counts_where_it_is_completed() -> None:
    pieces = Pieces("c", "a", "t", "at", "cat")
    step = LogitBias(biases=[("cat", -3.0), (3, -1.0)], tokenizer=pieces)
    scores = step(torch.tensor([[2, 0]]), torch.zeros(1, 5))
    assert scores.tolist() == [[0.0, 0.0, 0.0, -4.0, -3.0]]
    assert BannedTokens(tokens=[], tokenizer=None)(torch.tensor([[2]]), scores) is scores


# -- thinking budget ----------------------------------------------------------------------------------------


def thinking(budget: int, close: str = "</t>", text: str = "<t>", **options: object) -> list[str]:
    pieces = Pieces("<t>", "</", "t>", "x", "y", "</t", ">")
    model = ScriptedModel(torch.tensor([[0.0, 0, 0, 9.0, 0, 0, 0]]))
    pipe = Pipeline().add("thinking_budget", budget, open="<t>", close=close).stop("max_new_tokens", 8)
    rows = (
        Decoder(model, pipe, tokenizer=pieces)
        .generate([pieces.encode(text), pieces.encode("x" + text)])
        .tokens
    )
    return [" ".join(pieces.pieces[token] for token in row) for row in rows]


def test_after_the_budget_the_whole_closing_text_comes() -> None:
    assert thinking(3) == ["x x x </t > x x x"] * 2
    assert thinking(0) == ["</t > x x x x x x"] * 2
    assert thinking(2, close="y</t>") == ["x x y </t > x x x"] * 2


def test_without_an_opening_there_is_no_budget() -> None:
    assert thinking(1, text="y") == ["x x x x x x x x"] * 2


def test_half_a_character_is_written_to_its_end() -> None:
    class Bytes:
        """Tokens are bytes."""

        bos, pad, eos, size, vocab_size = None, None, (), 256, 256

        def encode(self, text: str, special: bool = True) -> list[int]:
            return list(text.encode())

        def decode(self, ids: Sequence[int]) -> str:
            return bytes(ids).decode("utf-8", errors="replace")

    snowman = "☃".encode()
    script = torch.full((9, 256), -9.0)
    for place in range(9):
        script[place, snowman[place % 3]] = 9.0
    pipe = Pipeline().add("thinking_budget", 4, open="<", close=">").stop("max_new_tokens", 7)
    tokens = Decoder(ScriptedModel(script), pipe, tokenizer=Bytes()).generate([[ord("<")]]).tokens[0]
    assert bytes(tokens[:7]) == "☃☃>".encode()


# -- infill -------------------------------------------------------------------------------------------------


def test_infill_by_hand() -> None:
    # llama.cpp's own example: "hell" and "hello" vote for "hel".
    assert infill([0.5, 0.2, 0.1, 0.1], ["hel", "hell", "hello", "dummy"], [False] * 4) == pytest.approx(
        [1, 0, 0, 0]
    )
    kept = infill([0.4, 0.3, 0.3], ["a", "b", "bc"], [False] * 3)
    assert kept == pytest.approx([0.4, 0.6, 0.0])
    assert infill([0.7, 0.3], ["a", ""], [False, True]) == [0.0, 0.3]  # 0.3 * 3 * 2 > 0.7
    assert infill([0.95, 0.01], ["a", ""], [False, True]) == pytest.approx([0.95 / 0.96, 0.01 / 0.96])
    assert infill([0.1] * 9 + [0.001], [*"abcdefghi", ""], [False] * 9 + [True]) == [0.0] * 9 + [0.001]
