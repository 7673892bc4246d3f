"""Beams outside of `compat: hf`, on models that nobody masks: against a search written from the page, with lists."""

from __future__ import annotations

import random
import time
from typing import Any

import pytest
import torch
from small_models import VOCAB, InputPos, model_of, plain
from torch import Tensor

from decodery import Decoder, Pipeline
from decodery.contracts.errors import CannotFollow, InvalidInput, ModelError

PROMPTS = [[5, 6, 7, 5, 6], [4], [9, 8, 9, 8, 9, 8, 9]]
CONFIGURATIONS = 48


def by_the_page(
    model: Any, prompt: list[int], *, beams: int, eos: tuple[int, ...], new: int, keys: dict[str, Any]
) -> list[tuple[list[int], float]]:
    """Beam search with a pool of `beams * patience` texts, each forward over whole texts."""
    penalty, early, size = (
        keys["length_penalty"],
        keys["early_stopping"],
        max(1, round(beams * keys["patience"])),
    )
    running: list[tuple[float, list[int]]] = [(0.0, [])]
    pool: list[tuple[float, list[int]]] = []
    for length in range(1, new + 1):
        found: list[tuple[float, list[int]]] = []
        for total, text in running:
            logits = model(torch.tensor([[*prompt, *text]]))[0, -1]
            logprobs = logits.float().log_softmax(-1)
            if (ratio := keys["repetition_penalty"]) != 1.0:
                seen = list({*prompt, *text})
                logprobs[seen] *= ratio  # log-probabilities are not positive
            best = logprobs.topk(min(VOCAB, max(2, 1 + len(eos)) * beams))
            found += [(total + v, [*text, t]) for v, t in zip(*map(Tensor.tolist, best), strict=True)]
        found = sorted(found, key=lambda one: -one[0])[: max(2, 1 + len(eos)) * beams]
        ends = [text[-1] in eos or length == new for _, text in found]
        for (total, text), end in list(zip(found, ends, strict=True))[:beams]:
            if end:
                pool = sorted([*pool, (total / length**penalty, text)], key=lambda one: -one[0])[:size]
        running = [one for one, end in zip(found, ends, strict=True) if not end][:beams]
        if not running:
            break
        if len(pool) == size:
            horizon = new if early == "never" and penalty > 0 else length
            # A text that cannot get into the pool is not waited for.
            if early is True or running[0][0] / horizon**penalty <= pool[-1][0]:
                break
    left = [(total / max(len(text), 1) ** penalty, text) for total, text in running]
    return [(text, score) for score, text in [*pool, *left]][:beams]


@pytest.mark.parametrize("kind", ["stateless", "input_pos", "llama", "gpt2"])
def test_beams_are_those_of_the_page(kind: str) -> None:
    draw, model, compared = random.Random(3), model_of(kind), 0
    alone = plain() if kind == "input_pos" else model  # its cache is the search's; the weights are the same
    if kind == "input_pos":
        model = InputPos(alone)

    def forward(ids: Tensor) -> Tensor:
        out = alone(ids)
        return out if isinstance(out, Tensor) else out.logits

    base = Pipeline().stop("max_new_tokens", 4).with_strategy("beam", num_beams=4)
    rows = Decoder(model, base).generate(PROMPTS, n=4).tokens
    likely = sorted({token for row in rows for token in row[1:]})  # texts end in their middle
    for _ in range(CONFIGURATIONS // 4):
        keys: dict[str, Any] = {
            "length_penalty": draw.choice((1.0, 0.0, -1.0, 2.0)),
            "early_stopping": draw.choice((False, True, "never")),
            "patience": draw.choice((0.5, 1.0, 1.0, 2.0)),
            "repetition_penalty": draw.choice((1.0, 1.0, 1.3)),
        }
        beams, eos = draw.randint(2, 4), tuple(draw.sample(likely, draw.choice((0, 1, 3, 3))))
        pipe = Pipeline().stop("eos").stop("max_new_tokens", 7)
        if keys["repetition_penalty"] != 1.0:
            pipe = pipe.add("repetition_penalty", keys["repetition_penalty"])
        rest = {key: value for key, value in keys.items() if key != "repetition_penalty"}
        pipe = pipe.with_strategy("beam", num_beams=beams, **rest)
        n = min(beams, max(1, round(beams * keys["patience"])))
        found = Decoder(model, pipe, eos_token_id=list(eos) or None).generate(PROMPTS, n=n)
        known = eos or tuple(Decoder(model).model.facts.eos)
        for place, prompt in enumerate(PROMPTS):
            wanted = by_the_page(forward, prompt, beams=beams, eos=known, new=7, keys=keys)[:n]
            rows = list(found)[place * n : (place + 1) * n]
            assert [row.tokens for row in rows] == [text for text, _ in wanted], (keys, beams, eos, prompt)
            scores = (found.sequence_scores or [])[place * n : (place + 1) * n]
            assert scores == pytest.approx([score for _, score in wanted], abs=1e-4)
            compared += 1
    print(
        f"\n{kind}: {CONFIGURATIONS // 4} beam configurations without compat, {compared} prompts, equal to the page"
    )


class Letters:
    vocab_size = VOCAB

    def encode(self, text: str) -> list[int]:
        return [ord(letter) - 97 for letter in text]

    def decode(self, ids: list[int]) -> str:
        return "".join(chr(97 + token) for token in ids)


@pytest.mark.parametrize("strategy", ["beam", "diverse_beam"])
def test_a_stop_string_finishes_a_hypothesis(strategy: str) -> None:
    model = plain()
    base = Pipeline().stop("max_new_tokens", 8).with_strategy(strategy, num_beams=4)
    free = Decoder(model, base, tokenizer=Letters()).generate(PROMPTS)
    stop = free.texts[0][2:4]
    found = Decoder(model, base.stop("stop_strings", [stop]), tokenizer=Letters()).generate(PROMPTS, n=4)
    ended = [row for row in found if row.finish_reason == "stop_string"]
    assert ended
    for row in found:
        text = Letters().decode(row.tokens)
        assert text.endswith(stop) == (row.finish_reason == "stop_string")
        assert stop not in text[:-1]
        assert row.text == text.removesuffix(stop)


@pytest.mark.parametrize("strategy", ["beam", "beam_sample", "diverse_beam"])
def test_when_the_time_is_over_the_beams_are_results(strategy: str) -> None:
    class Slow(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner, self.calls = plain(), 0

        def forward(self, x: Tensor) -> Tensor:
            self.calls += 1
            time.sleep(0.02)
            return self.inner(x)

    pipe = Pipeline().stop("max_time", 0.3).stop("max_new_tokens", 40).with_strategy(strategy, num_beams=4)
    found = Decoder(Slow(), pipe, vocab_size=VOCAB).generate([[4, 5]], n=2, seed=1)
    assert set(found.finish_reasons) == {"max_time"}
    assert all(0 < len(tokens) < 40 for tokens in found.tokens)
    assert len({tuple(tokens) for tokens in found.tokens}) == 2


class Keeper:
    """Keeps state and cannot follow."""

    def observe(self, tokens: Tensor, active: Tensor) -> None: ...

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        return scores


@pytest.mark.parametrize("strategy", ["beam", "beam_sample", "diverse_beam", "constrained_beam", "best_of"])
def test_a_step_that_cannot_be_reordered_is_refused_by_name_with_the_reason(strategy: str) -> None:
    params: dict[str, Any] = {"force_words": [[4]]} if strategy == "constrained_beam" else {}
    for pipe in (Pipeline().add(Keeper), Pipeline().stop(Keeper)):
        with pytest.raises(CannotFollow, match="'keeper' keeps state and has no select and rewind,"):
            Decoder(plain(), pipe.with_strategy(strategy, **params)).generate([[4, 5]], seed=1)


def test_only_the_methods_that_are_missing_are_named() -> None:
    class Halfway(Keeper):
        def select(self, rows: Tensor) -> None: ...

    class Deaf:
        def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
            return scores

        def select(self, rows: Tensor) -> None: ...

    for step, missing in ((Halfway, "rewind"), (Deaf, "observe and rewind")):
        with pytest.raises(
            CannotFollow, match=f"has no {missing}, so rows .*\n.*give it {missing}, or add it"
        ):
            Decoder(plain(), Pipeline().add(step).with_strategy("beam")).generate([[4, 5]])


@pytest.mark.parametrize("strategy", ["contrastive", "dola"])
@pytest.mark.parametrize("kind", ["stateless", "input_pos"])
def test_a_model_that_keeps_its_hidden_states_to_itself_is_refused_by_name(strategy: str, kind: str) -> None:
    decoder = Decoder(model_of(kind), Pipeline().with_strategy(strategy))
    with pytest.raises(ModelError, match="this strategy looks at hidden states"):
        decoder.generate([[4, 5]])


def test_more_results_than_there_are_texts_are_refused() -> None:
    for params in ({"num_beams": 2}, {"num_beams": 4, "patience": 0.5}):
        with pytest.raises(InvalidInput, match="3 results a prompt"):
            Decoder(plain(), Pipeline().with_strategy("beam", **params)).generate([[4, 5]], n=3)
