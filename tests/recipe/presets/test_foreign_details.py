"""Rules of single engines that no specimen shows."""

from __future__ import annotations

import sys
import types

import pytest
from samplers_for_presets import TOGETHER

from decodery.recipe import foreign
from decodery.recipe.presets import hf
from decodery.recipe.recipe import Recipe


def steps(text: str, form: str) -> list[str]:
    recipe = foreign.loads(text, form, host=TOGETHER).recipe
    return [recipe.strategy.qualified, *(step.spec.name for step in recipe.processors)]


def test_llama_cpps_temperature_zero_leaves_one_token_to_what_comes_behind() -> None:
    line = "--samplers 'top_k;temperature;xtc' --temp 0 --xtc-probability 0.5"
    assert steps(line, "llama.cpp") == ["greedy", "top_k"]
    assert steps(line.replace("--temp 0", "--temp 0.5"), "llama.cpp") == [
        "sample",
        "top_k",
        "temperature",
        "xtc",
    ]


def test_llama_cpps_adaptive_p_comes_last_wherever_it_is_named() -> None:
    line = "--samplers 'adaptive_p;min_p;temperature' --adaptive-target 0.3"
    assert steps(line, "llama.cpp") == ["sample", "min_p", "temperature", "adaptive_p"]


def test_letters_name_llama_cpps_samplers_too() -> None:
    assert steps("--sampler-seq tkp", "llama.cpp") == ["sample", "temperature", "top_k", "top_p"]


def test_beams_are_asked_of_vllm_in_its_own_words() -> None:
    found = foreign.loads(
        '{"use_beam_search": true, "n": 2, "best_of": 4, "temperature": 0}', "vllm", host=TOGETHER
    )
    if found.recipe.strategy.spec.name == "beam":
        params = found.recipe.strategy.params
        assert (params.num_beams, params.num_return_sequences) == (4, 2)  # type: ignore[union-attr]


@pytest.mark.parametrize("form", ["hf", "vllm"])
def test_an_engine_with_an_order_of_its_own_is_said_to_change_the_recipes(form: str) -> None:
    recipe = Recipe.loads(
        "recipe: 1\nstrategy: sample\nprocessors: [top_p: 0.9, temperature: 0.7, min_p: {p: 0.1, min_keep: 2}]"
    )
    told = {line.key: line for line in foreign.dumps(recipe, form).carried}
    assert told["processors[0].top_p"].status == "exact"
    assert "before the steps in front of it" in told["processors[1].temperature"].note
    assert "min_keep: 2 is lost" in told["processors[2].min_p"].note
    assert foreign.dumps(recipe, "llama.cpp").text.startswith("--samplers 'top_p;temperature;min_p'")


def test_what_nothing_would_end_gets_a_limit_and_the_report_says_so() -> None:
    found = foreign.loads('{"ignore_eos": true, "messages": []}', "vllm", host=TOGETHER)
    assert [step.spec.name for step in found.recipe.stop] == ["max_new_tokens"]
    (line,) = [line for line in found.carried if line.key == "(no end)"]
    assert line.status == "approximated"


WRITTEN_IN = {"max_length": 20, "assistant_lookbehind": 10}


def test_twenty_of_a_transformers_4_object_counts_new_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    """There a GenerationConfig has its defaults written in, and `generate` takes 20 for "nobody said"."""
    for version, rule in (("4.57.1", "max_new_tokens"), ("5.23.0", "max_length")):
        library = types.ModuleType("toyformers")
        library.__version__ = version  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "toyformers", library)
        made = type(
            "GenerationConfig", (), {"__module__": "toyformers", "to_dict": lambda self: WRITTEN_IN}
        )()
        found = hf.read(made)
        assert [step.spec.name for step in found.fields["stop"]] == ["eos", rule]
        assert ("assistant_lookbehind" in {line.key for line in found.carried}) == (rule == "max_length")
