"""Strategies give the same text on sessions that take tokens back by row, by one count for all, or not at all, and on
sessions that cannot reorder rows."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import pytest
from small_models import model_of, worse

from decodery import Decoder, Pipeline
from decodery.contracts.errors import InvalidInput, ModelError

PROMPTS = [[5, 6, 7, 5, 6], [4], [9, 8, 9, 8, 9, 8, 9], [2, 2, 2]]
STRATEGIES: dict[str, dict[str, Any]] = {
    "assisted": {"num_assistant_tokens": 4},
    "prompt_lookup": {},
    "beam": {"num_beams": 3},
    "contrastive": {"top_k": 3},
    "mix": {"formula": "contrastive"},
}


def able(decoder: Decoder, **capabilities: Any) -> Decoder:
    """The decoder, its sessions told to be able to do this."""
    facts = decoder.model.facts
    decoder.model._facts = replace(  # type: ignore[attr-defined]
        facts, capabilities=replace(facts.capabilities, **capabilities)
    )
    return decoder


ABILITIES = list(product(["ragged", "uniform", "none"], [True, False], [True, False]))
QUICK = {("ragged", False, True), ("uniform", True, False), ("none", True, True), ("none", False, False)}
"""Each ability there and not; all with all are `make test-all`'s."""


@pytest.mark.parametrize(
    ("rewind", "select", "masks"),
    [pytest.param(*can, marks=[] if can in QUICK else [pytest.mark.slow]) for can in ABILITIES],
)
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_text_is_the_same(strategy: str, rewind: str, select: bool, masks: bool) -> None:
    model = model_of("llama")
    draft = able(Decoder(worse(model, 0.4)), rewind=rewind, select=select, masks=masks)
    pipe = Pipeline().add("repetition_penalty", 1.2).stop("eos").stop("max_new_tokens", 10)
    ready = pipe.with_strategy(strategy, **STRATEGIES[strategy])
    models = {"draft": draft, "amateur": draft}
    found = able(Decoder(model, ready, models=models), rewind=rewind, select=select, masks=masks)
    wanted = Decoder(model, ready, models={"draft": Decoder(worse(model, 0.4)), "amateur": worse(model, 0.4)})
    assert found.generate(PROMPTS).tokens == wanted.generate(PROMPTS).tokens
    if strategy in ("assisted", "prompt_lookup"):
        assert found.generate(PROMPTS).tokens == Decoder(model, pipe).generate(PROMPTS).tokens


@pytest.mark.parametrize("formula", ["cfg", "contrastive", "context_aware", "experts"])
def test_a_model_with_one_cache_is_refused_where_it_would_have_two_texts(formula: str) -> None:
    """Only formulas that open the model itself beside itself."""
    decoder = able(Decoder(model_of("llama"), Pipeline().with_strategy("mix", formula=formula)), shared=False)
    prompts = {"negative": [[4]], "without": [[4]]}
    beside = {
        role: prompts[role]
        for role in prompts
        if (role, formula) in {("negative", "cfg"), ("without", "context_aware")}
    }
    with pytest.raises((InvalidInput, ModelError), match="one cache" if beside else "for the role"):
        decoder.generate([[4, 5]], role_prompts=beside)
