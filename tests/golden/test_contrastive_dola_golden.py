"""Contrastive search and DoLa give what transformers 4.55.4, the last version that had them, gave."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import pytest
from make_contrastive_dola_golden import GOLDEN, checksum, model_of

from decodery import Decoder, Pipeline

CASES: list[dict[str, Any]] = json.loads(GOLDEN.read_text())["cases"]
STEPS = {
    "repetition_penalty": "repetition_penalty",
    "no_repeat_ngram_size": "no_repeat_ngram",
    "min_new_tokens": "min_new_tokens",
}


@cache
def _model(kind: str, layers: int, tied: bool, seed: int) -> Any:
    return model_of(kind, layers, tied, seed)


def pipeline_of(arguments: dict[str, Any]) -> Pipeline:
    """transformers' arguments as the builder's words."""
    pipe = Pipeline()
    for name, step in STEPS.items():
        if name in arguments:
            pipe = pipe.add(step, arguments[name])
    pipe = pipe.stop("eos").stop("max_new_tokens", arguments["max_new_tokens"])
    if "dola_layers" in arguments:
        return pipe.with_strategy("dola", layers=arguments["dola_layers"])
    return pipe.with_strategy(
        "contrastive", top_k=arguments["top_k"], penalty_alpha=arguments["penalty_alpha"]
    )


def test_the_file_says_where_it_comes_from_and_covers_both_strategies() -> None:
    assert json.loads(GOLDEN.read_text())["origin"]["transformers"] == "4.55.4"
    dola = sum("dola_layers" in case["arguments"] for case in CASES)
    assert (dola, len(CASES) - dola) == (24, 24)
    assert {len(case["prompts"]) for case in CASES} == {1, 2, 3}


@pytest.mark.parametrize("number", range(len(CASES)))
def test_the_same_tokens_as_transformers_4_55(number: int) -> None:
    case = CASES[number]
    model, prompts = _model(**case["model"]), case["prompts"]
    assert checksum(model) == case["weights"]
    pipe = pipeline_of(case["arguments"])
    assert Decoder(model, pipe.compat("hf")).generate(prompts).tokens == case["tokens"]
    # Without pads and with rows of their own the text is the same, except that a row of DoLa chooses its own layer.
    if "dola_layers" not in case["arguments"] or len(prompts) == 1:
        assert Decoder(model, pipe).generate(prompts).tokens == case["tokens"]
