"""The JSON Schema, by a validator that nobody here wrote: it accepts what `recipe check` does, and flags the rest."""

from __future__ import annotations

import importlib.resources
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given, settings
from recipes_by_chance import HOST, recipes
from test_recipe_mistakes import MISTAKES

from decodery.contracts.specs import StepSpec, StrategySpec
from decodery.recipe.recipe import Recipe, check_text
from decodery.recipe.report import Problems
from decodery.recipe.syntax.nodes import plain_data
from decodery.recipe.syntax.text import read
from decodery.recipe.tools.schema import schema
from decodery.recipe.tree import parse

SCHEMA = schema(HOST)
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def data(text: str) -> Any:
    """The text as an editor's YAML 1.2 parser has it."""
    problems = Problems()
    source, clean = read(text, "r.yaml", problems)  # type: ignore[misc]
    root = parse(clean, source, problems)
    assert root is not None
    assert not problems
    return plain_data(root)


def flaws(text: str) -> list[str]:
    return [error.message for error in VALIDATOR.iter_errors(data(text))]


def test_it_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    json.dumps(SCHEMA)


def test_recipes_in_the_box_and_in_the_docs_are_accepted() -> None:
    folders = [
        importlib.resources.files("decodery") / "recipe" / "library",
        Path(__file__).parents[2] / "docs/recipes",
    ]
    texts = [
        file.read_text() for folder in folders for file in folder.iterdir() if file.name.endswith(".yaml")
    ]
    assert len(texts) > 8
    for text in texts:
        assert flaws(text) == []


GOOD = [
    "strategy: {sample: {seed: 42}}",
    "strategy: {greedy: }",
    "strategy: {acme/wide: {w: 3, seed: null}}",
    "processors: [temperature: 1, top_p: {top_p: 0.9, min_tokens_to_keep: 2}, TopKLogitsWarper: 4]",
    "processors: [acme/narrow: {w: 1, kind: x}, narrow: 3, acme/everything, everything: null]",
    "processors: [decodery/top_k: 3, sequence_bias: [[[1, 2], -3.5]], bad_words: [[1], [2, 3]]]",
    "stop: [eos, eos: , stop_token_ids: 3, stop_token_ids: [1, 2], stop_strings: x, stop_strings: {strings: [x]}]",
    "processors: null\ncompat: null\non_bad_row: stop_row\ninclude_stop: true\nname: ''",
    "processors: []\ncompat: hf\ndescription: x",
    "extends: ./chat.yaml\nrequires: [acme-decode, 'acme-decode>=0.3,<1']",
    "patch: [{set: {temperature: 1.2, top_p#2.p: 0.1}}, {drop: [top_k]}, {drop: top_p}]",
    "patch: [{replace: {top_p: {min_p: 0.05}}}, {insert: {acme/narrow: 3}, after: min_p}, {insert: eos, at: 0}]",
    "patch: [{insert: [eos, {top_p: 0.5}], before: top_p#2}]",
]


@pytest.mark.parametrize("text", GOOD)
def test_good_recipes_are_accepted(text: str) -> None:
    assert flaws(f"recipe: 1\n{text}") == []
    if "extends" not in text and "patch" not in text:
        assert check_text(f"recipe: 1\n{text}", host=HOST)[1] == []


@given(recipes)
@settings(max_examples=60, deadline=None)
def test_whatever_is_written_is_accepted(recipe: Recipe) -> None:
    for filled in (False, True):
        assert flaws(recipe.to_yaml(filled=filled)) == []


# Mistakes that are none of form: what is installed, what another step is called, what YAML 1.1 would read.
BEYOND = {
    "extends from nowhere", "extends a name that is none", "extends a plugin's", "extends the root",
    "set what is not there", "set how to read", "set no name", "set a wrong value", "set a seed",
    "drop what is not there", "drop a parameter", "replace what is not there", "a place that is none",
    "requires what is missing", "requires another version", "requires a line for the shell",
    "infinite",
}  # fmt: skip


@pytest.mark.parametrize("name", [name for name in MISTAKES if name not in BEYOND])
def test_bad_recipes_are_flagged(name: str) -> None:
    text = f"recipe: 1\n{MISTAKES[name][0]}"
    assert flaws(text), text


@pytest.mark.parametrize("name", sorted(BEYOND))
def test_what_is_beyond_a_schema_is_really_beyond_it(name: str) -> None:
    assert flaws(f"recipe: 1\n{MISTAKES[name][0]}") == []


def test_every_installed_step_is_in_it() -> None:
    definitions = SCHEMA["$defs"]
    for kind in (StepSpec, StrategySpec):
        for qualified, spec in HOST.all(kind):
            role = spec.role if isinstance(spec, StepSpec) else "strategy"
            for name in (qualified, spec.name, *spec.aliases):
                assert name in definitions[role]["else"]["properties"], name
    assert definitions["processor:top_k"]["description"] == HOST.step("top_k")[1].summary


def test_a_bare_name_is_the_one_that_check_takes() -> None:
    """`eos` is the box's; a plugin's step of that name needs its prefix."""
    from decodery.host.loader import PluginInfo
    from decodery.host.registry import Host

    plugins = [PluginInfo("acme", "1", "acme_for_recipes"), PluginInfo("zeta", "1", "acme_for_recipes")]
    made = schema(Host("acme,zeta", plugins=plugins))["$defs"]["processor"]["else"]["properties"]
    assert "narrow" not in made  # ambiguous
    assert {"acme/narrow", "zeta/narrow"} <= set(made)


def test_pyyaml_reads_the_box_alike() -> None:
    """Most tools read YAML 1.1; the recipes in the box mean the same there."""
    for file in (importlib.resources.files("decodery") / "recipe" / "library").iterdir():
        assert yaml.safe_load(file.read_text()) == data(file.read_text())
