"""Assisted decoding and prompt lookup give the model's own greedy text, whatever is drafted."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch
from small_models import CONTEXT, KINDS, VOCAB, InputPos, model_of, plain, worse
from torch import Tensor

from decodery import Decoder, Pipeline
from decodery.contracts.errors import BadRow, CannotFollow

PROMPTS = [[5, 6, 7, 5, 6], [4], [9, 8, 9, 8, 9, 8, 9], [2, 2, 2]]


class Running:
    """Bans what two of the tokens it observed add up to: keeps state, follows rows."""

    def __init__(self) -> None:
        self.seen: list[list[int]] = []

    def observe(self, tokens: Tensor, active: Tensor) -> None:
        self.seen = self.seen or [[] for _ in tokens]
        for kept, token, on in zip(self.seen, tokens.tolist(), active.tolist(), strict=True):
            kept.extend([token] if on else [])

    def select(self, rows: Tensor) -> None:
        self.seen = [list(self.seen[row]) for row in rows.tolist()] if self.seen else []

    def rewind(self, counts: Tensor) -> None:
        if self.seen:
            self.seen = [kept[: len(kept) - n] for kept, n in zip(self.seen, counts.tolist(), strict=True)]

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        scores = scores.clone()
        for row, kept in enumerate(self.seen[: len(scores)]):
            if len(kept) > 1:
                scores[row, sum(kept[-2:]) % VOCAB] = -torch.inf
                scores[row] += 0.37 * (sum(kept) % 5) * torch.arange(VOCAB).remainder(3)
        return scores


class Keeper:
    """Keeps state and cannot follow."""

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        return scores


def chain(number: int) -> Pipeline:
    """Chains of processors and stop rules."""
    pipe = Pipeline()
    match number % 5:
        case 1:
            pipe = pipe.add("repetition_penalty", 1.4).add("temperature", 0.7)
        case 2:
            pipe = pipe.add("no_repeat_ngram", 2).add("min_new_tokens", 9).add("top_k", 5)
        case 3:
            pipe = pipe.add(Running).add("repetition_penalty", 1.2)
        case 4:
            pipe = pipe.add("exponential_decay_length_penalty", [4, 1.3]).add(Running)
    return pipe.stop("eos").stop("max_new_tokens", 21)


STRATEGIES: dict[str, dict[str, Any]] = {
    "five": {"num_assistant_tokens": 5},
    "heuristic": {"num_assistant_tokens": 2, "schedule": "heuristic"},
    "confident": {"num_assistant_tokens": 9, "confidence_threshold": 0.3},
}


QUICK = {("llama", "heuristic"), ("gpt2", "five"), ("input_pos", "five"), ("stateless", "confident")}
"""A schedule for each kind of model; all with all are `make test-all`'s."""


@pytest.mark.parametrize(
    ("kind", "how"),
    [
        pytest.param(kind, how, marks=[] if (kind, how) in QUICK else [pytest.mark.slow])
        for kind in KINDS
        for how in STRATEGIES
    ],
)
def test_assisted_is_the_models_own_greedy_text(kind: str, how: str) -> None:
    model = model_of(kind)
    for number, by in enumerate((0.0, 0.15, 0.3, 0.5, 3.0)):
        pipe = chain(number)
        wanted = Decoder(model, pipe, eos_token_id=3).generate(PROMPTS)
        decoder = Decoder(
            model,
            pipe.with_strategy("assisted", **STRATEGIES[how]),
            models={"draft": worse(model, by)},
            eos_token_id=3,
        )
        found = decoder.generate(PROMPTS)
        assert found.tokens == wanted.tokens, (number, by)
        assert found.finish_reasons == wanted.finish_reasons
        assert {len(row) for row in found.tokens} != {0}


@pytest.mark.parametrize("kind", KINDS)
def test_prompt_lookup_is_the_models_own_greedy_text(kind: str) -> None:
    model = model_of(kind)
    for number in range(5):
        pipe = chain(number)
        wanted = Decoder(model, pipe, eos_token_id=3).generate(PROMPTS)
        strategy = pipe.with_strategy("prompt_lookup", num_assistant_tokens=1 + 2 * number)
        found = Decoder(model, strategy, eos_token_id=3).generate(PROMPTS)
        assert (found.tokens, found.finish_reasons) == (wanted.tokens, wanted.finish_reasons), number


class Counted(torch.nn.Module):
    """A model that counts its forwards."""

    def __init__(self, inner: Any) -> None:
        super().__init__()
        self.inner, self.calls = inner, 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return self.inner(x)


def test_a_good_draft_saves_forwards_and_a_bad_one_costs_none() -> None:
    model = Counted(plain())
    calls = []
    for draft in (None, plain(), worse(plain(), 3.0)):
        pipe = Pipeline().stop("max_new_tokens", 24)
        if draft is not None:
            pipe = pipe.with_strategy("assisted", num_assistant_tokens=5)
        decoder = Decoder(model, pipe, models={} if draft is None else {"draft": draft}, vocab_size=VOCAB)
        model.calls = 0
        decoder.generate([[4, 5]])
        calls.append(model.calls)
    own, good, bad = calls
    assert (own, good) == (24, 5)  # the prompt, then 5 drafts and a token of the model's own each time
    assert good < bad <= own


@pytest.mark.parametrize("strategy", ["assisted", "prompt_lookup"])
def test_eos_and_stop_strings_inside_a_draft_end_the_row_there(strategy: str) -> None:
    class Letters:
        vocab_size = VOCAB

        def encode(self, text: str) -> list[int]:
            return [ord(letter) - 97 for letter in text]

        def decode(self, ids: list[int]) -> str:
            return "".join(chr(97 + token) for token in ids)

    model, draw = plain(), random.Random(3)
    greedy = Decoder(model, Pipeline().stop("max_new_tokens", 20)).generate(PROMPTS)
    for _ in range(6):
        text = Letters().decode(greedy.tokens[draw.randrange(4)])
        at = draw.randrange(1, 18)
        for length in (1, 3):
            stop = text[at : at + length]
            pipe = Pipeline().stop("eos").stop("stop_strings", [stop]).stop("max_new_tokens", 20)
            arguments: dict[str, Any] = {"tokenizer": Letters(), "eos_token_id": greedy.tokens[0][7]}
            wanted = Decoder(model, pipe, **arguments).generate(PROMPTS)
            models = {"draft": plain()} if strategy == "assisted" else {}
            assisted = Decoder(model, pipe.with_strategy(strategy), models=models, **arguments)
            found = assisted.generate(PROMPTS)
            assert (found.tokens, found.texts) == (wanted.tokens, wanted.texts)
            assert found.finish_reasons == wanted.finish_reasons
            assert "stop_string" in found.finish_reasons or "stop_strings" in found.finish_reasons
            stream = assisted.stream(PROMPTS)
            rows: list[list[int | None]] = [[] for _ in PROMPTS]
            for event in stream:
                rows[event.row].append(event.token)
            assert rows == wanted.tokens


@pytest.mark.parametrize(
    ("own", "drafts", "cached"),
    [
        (64, 20, False),
        (20, 64, True),
        (23, 23, False),
        (64, 6, False),
        (64, 4, True),
        *(pytest.param(*sizes, True, marks=pytest.mark.slow) for sizes in [(64, 20), (23, 23), (64, 6)]),
        *(pytest.param(*sizes, False, marks=pytest.mark.slow) for sizes in [(20, 64), (64, 4)]),
    ],
)
def test_contexts_of_the_model_and_of_the_draft_are_kept(own: int, drafts: int, cached: bool) -> None:
    def made(context: int) -> Any:
        inner = plain()
        if cached:
            return InputPos(inner, context)
        inner.context = context
        return inner

    wanted = Decoder(made(own), Pipeline().stop("max_new_tokens", 40), max_length=own).generate(PROMPTS)
    draft = Decoder(made(drafts), max_length=drafts)
    for arguments in STRATEGIES.values():
        pipe = Pipeline().stop("max_new_tokens", 40).with_strategy("assisted", **arguments)
        found = Decoder(made(own), pipe, max_length=own, models={"draft": draft}).generate(PROMPTS)
        assert (found.tokens, found.finish_reasons) == (wanted.tokens, wanted.finish_reasons)
    assert ("context" in wanted.finish_reasons) == (own < CONTEXT)


@pytest.mark.parametrize("strategy", ["assisted", "prompt_lookup"])
def test_a_processor_that_cannot_be_rewound_is_refused_by_name(strategy: str) -> None:
    models = {"draft": plain()} if strategy == "assisted" else {}
    pipe = Pipeline().add(Keeper).with_strategy(strategy)
    with pytest.raises(CannotFollow, match="'keeper' may keep state"):
        Decoder(plain(), pipe, models=models).generate([[4, 5, 4, 5]])


@pytest.mark.parametrize("strategy", ["assisted", "prompt_lookup"])
def test_observers_log_probabilities_and_scores_are_those_of_greedy(strategy: str) -> None:
    class Seen:
        wants = frozenset({"tokens", "scores", "steps"})

        def __init__(self) -> None:
            self.rows: list[list[Any]] = [[] for _ in PROMPTS]

        def on_tokens(self, tokens: Tensor, active: Tensor, reasons: Any) -> None:
            for row in active.nonzero().flatten().tolist():
                self.rows[row].append(("token", int(tokens[row]), reasons[row]))

        def on_scores(self, raw: Tensor, processed: Tensor, active: Tensor) -> None:
            for row in active.nonzero().flatten().tolist():
                self.rows[row].append(
                    ("scores", int(raw[row].argmax()), round(float(processed[row].max()), 3))
                )

        def on_step(self, name: str, before: Tensor, after: Tensor, active: Tensor) -> None:
            for row in active.nonzero().flatten().tolist():
                best = round(float(after[row].max()), 3)
                self.rows[row].append((name, int(before[row].argmax()), best))

    models = {"draft": worse(plain(), 0.3)} if strategy == "assisted" else {}
    seen: list[Any] = []
    results = []
    for pipe in (chain(1), chain(1).with_strategy(strategy)):
        seen.append(Seen())
        decoder = Decoder(plain(), pipe, models=models if pipe.strategy else {}, eos_token_id=3)
        results.append(decoder.generate(PROMPTS, observers=[seen[-1]], logprobs=3, return_scores=True))
    order = ("repetition_penalty", "scores", "temperature", "token")
    for own, other in zip(seen[0].rows, seen[1].rows, strict=True):
        for kind in order:
            assert [entry for entry in own if entry[0] == kind] == [e for e in other if e[0] == kind]
    greedy, found = results
    assert greedy.scores is not None
    assert found.scores is not None
    for own, other in zip(greedy.scores, found.scores, strict=True):
        torch.testing.assert_close(own, other, atol=1e-4, rtol=1e-4)
    assert greedy.logprobs is not None
    assert found.logprobs is not None
    for own, other in zip(greedy.logprobs, found.logprobs, strict=True):
        assert [entry.token for entry in own] == [entry.token for entry in other]
        for mine, theirs in zip(own, other, strict=True):
            assert mine.raw == pytest.approx(theirs.raw, abs=1e-4)
            assert mine.processed == pytest.approx(theirs.processed, abs=1e-4)


class Poisoned(torch.nn.Module):
    """NaN after a token that the row reaches late."""

    def __init__(self, token: int) -> None:
        super().__init__()
        self.inner, self.token = plain(), token

    def forward(self, x: Tensor) -> Tensor:
        logits = self.inner(x)
        return logits.masked_fill((x == self.token).unsqueeze(-1), torch.nan)


def test_a_bad_row_is_named_where_it_would_be_and_only_if_its_draft_stays() -> None:
    greedy = Decoder(plain(), Pipeline().stop("max_new_tokens", 20)).generate(PROMPTS)
    row, place = next((r, p) for r, row in enumerate(greedy.tokens) for p, t in enumerate(row[:12]) if p > 5)
    poison = greedy.tokens[row][place]
    assisted = Pipeline().stop("max_new_tokens", 20).with_strategy("assisted")
    errors = []
    for pipe, models in ((Pipeline().stop("max_new_tokens", 20), {}), (assisted, {"draft": plain()})):
        with pytest.raises(BadRow) as found:
            Decoder(Poisoned(poison), pipe, models=models, vocab_size=VOCAB).generate([PROMPTS[row]])
        errors.append(str(found.value))
    assert errors[0] == errors[1]
    # A draft that wants the bad token is not followed, so that nothing happens.
    clean = Decoder(plain(), Pipeline().add("suppress_tokens", [poison]).stop("max_new_tokens", 20))
    wanted = clean.generate([PROMPTS[row]]).tokens
    pipe = assisted.add("suppress_tokens", [poison])
    decoder = Decoder(Poisoned(poison), pipe, models={"draft": plain()}, vocab_size=VOCAB)
    assert decoder.generate([PROMPTS[row]]).tokens == wanted
