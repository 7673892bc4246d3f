"""Assisted decoding and prompt lookup draw from the model's own distribution, whatever is drafted."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest
import torch
from scipy.stats import chisquare
from torch import Tensor
from transformers import RepetitionPenaltyLogitsProcessor, TemperatureLogitsWarper, TopPLogitsWarper

from decodery import Decoder, Pipeline
from decodery.builtin.strategies import assisted, prompt_lookup, speculative
from decodery.testing import TableModel

VOCAB, ROWS, FLOOR = 5, 3000, 1e-6
PROMPT = [1, 2, 1, 2]
TARGET = TableModel(VOCAB, scale=1.2, seed=1)


class Blend:
    """A draft that shares some of the target's opinion."""

    def __init__(self, share: float) -> None:
        self.share, self.other = share, TableModel(VOCAB, scale=1.2, seed=9)

    def __call__(self, x: Tensor) -> Tensor:
        return self.share * TARGET(x) + (1 - self.share) * self.other(x)


def exact() -> dict[tuple[int, ...], float]:
    """The probability of each text of 3 tokens, by transformers' own classes."""
    steps: list[Any] = [
        RepetitionPenaltyLogitsProcessor(1.3),
        TemperatureLogitsWarper(0.9),
        TopPLogitsWarper(0.9),
    ]
    found: dict[tuple[int, ...], float] = {}
    for text in product(range(VOCAB), repeat=3):
        chance = 1.0
        for place, token in enumerate(text):
            ids = torch.tensor([[*PROMPT, *text[:place]]])
            scores = TARGET(ids)[:, -1]
            for step in steps:
                scores = step(ids, scores)
            chance *= float(scores.double().softmax(-1)[0, token])
        found[text] = chance
    return found


def p_value(strategy: str, models: dict[str, Any], **params: Any) -> float:
    pipe = Pipeline().add("repetition_penalty", 1.3).add("temperature", 0.9).add("top_p", 0.9)
    pipe = pipe.stop("max_new_tokens", 3).with_strategy(strategy, do_sample=True, **params)
    decoder = Decoder(TARGET, pipe, models=models, vocab_size=VOCAB)
    tokens = decoder.generate([PROMPT] * ROWS, seed=7).tokens
    counts = dict.fromkeys(product(range(VOCAB), repeat=3), 0)
    for row in tokens:
        counts[tuple(row)] += 1
    wanted = exact()
    likely = [text for text in wanted if wanted[text] * ROWS >= 5]
    if any(counts[text] for text in wanted if wanted[text] == 0):
        return 0.0
    seen = [counts[text] for text in likely]
    expected = [wanted[text] * ROWS for text in likely]
    rest = ROWS - sum(expected)
    if rest > 1e-6 * ROWS:
        seen, expected = [*seen, ROWS - sum(seen)], [*expected, rest]
    return float(chisquare(seen, [value * sum(seen) / sum(expected) for value in expected]).pvalue)


@pytest.mark.parametrize("share", [1.0, 0.6, 0.0])
@pytest.mark.parametrize("params", [{}, {"num_assistant_tokens": 1, "schedule": "heuristic"}])
def test_assisted_draws_from_the_models_distribution(share: float, params: dict[str, Any]) -> None:
    assert p_value("assisted", {"draft": Decoder(Blend(share), vocab_size=VOCAB)}, **params) > FLOOR


def test_a_confidence_threshold_changes_no_probability() -> None:
    draft = Decoder(Blend(0.5), vocab_size=VOCAB)
    assert p_value("assisted", {"draft": draft}, confidence_threshold=0.5) > FLOOR


def test_prompt_lookup_draws_from_the_models_distribution() -> None:
    assert p_value("prompt_lookup", {}) > FLOOR


def _always(run: Any, scores: Tensor, drafts: Tensor, widths: Tensor, *_: Any) -> tuple[Tensor, Tensor]:
    """Keeps every draft."""
    counts = widths.clone()
    last = scores.gather(1, counts.view(-1, 1, 1).expand(-1, 1, scores.shape[-1])).squeeze(1)
    return counts, run.rng.categorical(last, "residual")


def _unchanged(scores: Tensor, token: Tensor, drafted: Tensor | None) -> Tensor:
    """Draws from p where a draft was refused, not from what is left of it."""
    return scores


@pytest.fixture(params=["always", "unchanged"])
def _broken(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    if request.param == "always":
        monkeypatch.setattr(assisted, "judge", _always)
        monkeypatch.setattr(prompt_lookup, "judge", _always)
    else:
        monkeypatch.setattr(speculative, "remainder", _unchanged)
    return


@pytest.mark.usefixtures("_broken")
def test_a_wrong_rule_of_acceptance_is_found_out() -> None:
    assert p_value("assisted", {"draft": Decoder(Blend(0.3), vocab_size=VOCAB)}) < FLOOR
    assert p_value("prompt_lookup", {}) < FLOOR


def test_a_row_alone_equals_the_row_in_a_batch() -> None:
    prompts, seeds = [[1, 2, 1, 2], [3], [4, 0, 4], [2, 2, 2, 2, 2]], [5, 6, 7, 8]
    for strategy in ("assisted", "prompt_lookup"):
        models = {"draft": Decoder(Blend(0.6), vocab_size=VOCAB)} if strategy == "assisted" else {}
        pipe = Pipeline().add("temperature", 0.9).stop("max_new_tokens", 12)
        decoder = Decoder(
            TARGET, pipe.with_strategy(strategy, do_sample=True), models=models, vocab_size=VOCAB
        )
        batch = decoder.generate(prompts, seeds=seeds)
        alone = [decoder.generate([p], seeds=[s]).tokens[0] for p, s in zip(prompts, seeds, strict=True)]
        assert batch.tokens == alone
        assert decoder.generate(prompts, seeds=seeds, observers=[Quiet()]).tokens == alone


class Quiet:
    """Keeps the rows of a call together."""

    wants: frozenset[str] = frozenset()
