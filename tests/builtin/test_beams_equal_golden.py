"""`diverse_beam` and `constrained_beam` with `compat: hf` against what transformers 4.56.2 gave; see tests/golden."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from decodery import Decoder, Pipeline, Recipe
from decodery.contracts.errors import InvalidParams

GOLDEN = Path(__file__).parents[1] / "golden"
DATA: dict[str, Any] = json.loads((GOLDEN / "beams_transformers_4_56_2.json").read_text())
_spec = importlib.util.spec_from_file_location("make_beams_golden", GOLDEN / "make_beams_golden.py")
assert _spec is not None
assert _spec.loader is not None
maker = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(maker)


CASES = [pytest.param(case, id=str(n)) for n, case in enumerate(DATA["cases"])]
PADS_COUNT = (24, 40)
"""Where it shows that transformers 4 penalises the pads of a short prompt, and 5 does not."""


@pytest.fixture(scope="module")
def model() -> Any:
    return maker.tiny_llama()


def decoded(
    model: Any,
    case: dict[str, Any],
    prompts: list[list[int]],
    compat: bool = True,
    change: Callable[[Pipeline], Pipeline] = lambda pipe: pipe,
) -> Any:
    recipe = Recipe.from_generation_config({**case["keys"], "max_new_tokens": DATA["new"]})
    pipe = change(recipe.pipeline() if compat else recipe.pipeline().compat(None))
    decoder = Decoder(model, pipe, eos_token_id=case["eos"], pad_token_id=DATA["pad"])
    return decoder.generate(prompts)


def penalising_pads(pipe: Pipeline) -> Pipeline:
    """The recipe with transformers' own penalty, which is told nothing of pads: as 4.56 calls it."""
    names = [step.spec.name for step in pipe.processors]
    if "repetition_penalty" not in names:
        return pipe
    place = names.index("repetition_penalty")
    penalty = transformers.RepetitionPenaltyLogitsProcessor(pipe.processors[place].params.penalty)
    return pipe.drop("repetition_penalty").add(penalty, at=place, stateless=True)


def test_the_weights_are_those_of_the_golden_file(model: Any) -> None:
    assert maker.checksum(model) == pytest.approx(DATA["checksum"], abs=1e-2)


@pytest.mark.parametrize("case", CASES)
def test_texts_and_scores_are_those_of_transformers_4(model: Any, case: dict[str, Any]) -> None:
    found = decoded(model, case, case["prompts"], change=penalising_pads)
    for row, theirs in zip(found.tokens, case["tokens"], strict=True):
        assert row == theirs[: len(row)]
        assert set(theirs[len(row) :]) <= {DATA["pad"]}
    if case["scores"] is not None:
        expected = torch.tensor(case["scores"])
        torch.testing.assert_close(torch.tensor(found.sequence_scores), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("number", PADS_COUNT)
def test_the_box_leaves_pads_alone_as_transformers_5_does(model: Any, number: int) -> None:
    case = DATA["cases"][number]
    assert min(map(len, case["prompts"])) < max(map(len, case["prompts"]))
    assert (
        decoded(model, case, case["prompts"]).tokens
        != decoded(model, case, case["prompts"], change=penalising_pads).tokens
    )


@pytest.mark.parametrize("case", DATA["cases"][:12], ids=range(12))
def test_a_prompt_alone_equals_the_prompt_in_a_ragged_batch(model: Any, case: dict[str, Any]) -> None:
    prompts = [*case["prompts"], [33, 44, 55, 34, 35]]
    whole, n = decoded(model, case, prompts, compat=False), case["keys"]["num_return_sequences"]
    for place, prompt in enumerate(prompts):
        alone = decoded(model, case, [prompt], compat=False)
        assert whole.tokens[place * n : (place + 1) * n] == alone.tokens


def test_forced_words_are_in_the_text_and_the_prompts_do_not_count(model: Any) -> None:
    words = [[33, 44], [[51, 52], [58]]]
    case = {"keys": {"num_beams": 4, "force_words_ids": words}, "eos": [5]}
    row = decoded(model, case, [[33, 44, 58]], compat=False).tokens[0]
    assert [33, 44] in [row[i : i + 2] for i in range(len(row))]
    assert 58 in row or [51, 52] in [row[i : i + 2] for i in range(len(row))]


def test_bad_parameters_are_named() -> None:
    with pytest.raises(InvalidParams, match="cannot be divided"):
        Pipeline().with_strategy("diverse_beam", num_beams=5, num_beam_groups=2)
    with pytest.raises(InvalidParams, match="begins with the other"):
        Pipeline().with_strategy("constrained_beam", force_words=[[[3, 4], [3, 4, 5]]])


def test_the_golden_file_names_its_origin() -> None:
    assert DATA["origin"].startswith("transformers 4.56.2")
    assert transformers.__version__ != "4.56.2"
