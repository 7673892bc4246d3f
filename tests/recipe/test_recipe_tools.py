"""fill, explain, diff: what a recipe comes to, where each value came from, what another does otherwise."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from recipes_by_chance import HOST, recipes

from decodery.recipe.compose.sources import fetch
from decodery.recipe.recipe import Recipe, examine
from decodery.recipe.tools.difference import differences
from decodery.recipe.tools.explain import Explanation, explain

BASE = """\
recipe: 1
strategy: {sample: {seed: 42}}
processors:
  - temperature: 0.7
  - top_k: {k: 40, ties: cut}
  - top_p: 0.95
compat: hf
"""
CHILD = """\
recipe: 1
extends: ./base.yaml
on_bad_row: stop_row
patch:
  - set: {top_k.min_keep: 3}
  - insert: {min_p: 0.05}
"""


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "base.yaml").write_text(BASE)
    (tmp_path / "child.yaml").write_text(CHILD)
    return tmp_path


# -- fill ---------------------------------------------------------------------------------------------------------


@given(recipes)
@settings(max_examples=100, deadline=None)
def test_filling_changes_nothing_and_twice_is_once(recipe: Recipe) -> None:
    filled = recipe.to_yaml(filled=True)
    again = Recipe.loads(filled, host=HOST)
    assert again == recipe
    assert again.fingerprint == recipe.fingerprint
    assert again.to_yaml(filled=True) == filled


def test_a_filled_recipe_stands_alone(files: Path) -> None:
    filled = Recipe.load("child.yaml").to_yaml(filled=True)
    assert (
        filled
        == """\
recipe: 1
compat: hf
strategy: {sample: {seed: 42}}
processors:
  - temperature: {temperature: 0.7}
  - top_k: {k: 40, min_keep: 3, ties: cut}
  - top_p: {p: 0.95, min_keep: 1}
  - min_p: {p: 0.05, min_keep: 1}
stop:
  - eos
  - max_new_tokens: {max_new_tokens: 256}
on_bad_row: stop_row
include_stop: false
"""
    )


# -- explain ------------------------------------------------------------------------------------------------------


def explained(*overrides: str, name: str = "child.yaml") -> Explanation:
    return explain(examine(fetch(name, HOST), overrides, HOST))


def origins(explanation: Explanation) -> dict[str, tuple[str, str, int]]:
    found = {}
    for part in (explanation.strategy, *explanation.processors, *explanation.stop):
        found[part.name] = (part.origin.kind, part.origin.source, part.origin.line)
        for value in part.values:
            origin = value.origin
            found[f"{part.name}.{value.name}"] = (origin.kind, origin.source, origin.line)
    for value in explanation.options:
        found[value.name] = (value.origin.kind, value.origin.source, value.origin.line)
    return found


def test_every_value_says_where_it_came_from(files: Path) -> None:
    assert origins(explained("temperature=1.2", "strategy.seed=3")) == {
        "sample": ("base", "base.yaml", 2),
        "sample.seed": ("command line", "<command line>", 2),
        "temperature": ("base", "base.yaml", 4),
        "temperature.temperature": ("command line", "<command line>", 1),
        "top_k": ("base", "base.yaml", 5),
        "top_k.k": ("base", "base.yaml", 5),
        "top_k.min_keep": ("patch", "child.yaml", 5),
        "top_k.ties": ("base", "base.yaml", 5),
        "top_p": ("base", "base.yaml", 6),
        "top_p.p": ("base", "base.yaml", 6),
        "top_p.min_keep": ("default", "", 0),
        "min_p": ("patch", "child.yaml", 6),
        "min_p.p": ("patch", "child.yaml", 6),
        "min_p.min_keep": ("default", "", 0),
        "eos": ("default", "", 0),
        "max_new_tokens": ("default", "", 0),
        "max_new_tokens.max_new_tokens": ("default", "", 0),
        "compat": ("base", "base.yaml", 7),
        "on_bad_row": ("file", "child.yaml", 3),
        "include_stop": ("default", "", 0),
    }


def test_a_value_is_the_one_in_effect(files: Path) -> None:
    explanation = explained("top_k=3")
    (top_k,) = (part for part in explanation.processors if part.name == "top_k")
    assert [(value.name, value.value) for value in top_k.values] == [
        ("k", 3),
        ("min_keep", 3),
        ("ties", "cut"),
    ]
    assert (top_k.path, top_k.summary) == ("processors[1]", "keeps the k best tokens")
    assert top_k.notes == {"traits": ["argmax_invariant", "compilable", "stateless"]}
    assert explanation.needs == ("eos", "prompt_lengths")


@given(recipes)
@settings(max_examples=40, deadline=None)
def test_each_parameter_of_each_step_is_told(recipe: Recipe) -> None:
    from decodery.contracts.params import param_values
    from decodery.recipe.compose.sources import Found

    explanation = explain(examine(Found("r", recipe.to_yaml(filled=True)), (), HOST))
    for part, step in zip(
        (*explanation.processors, *explanation.stop), (*recipe.processors, *recipe.stop), strict=True
    ):
        assert part.name == step.qualified
        assert [value.name for value in part.values] == list(param_values(step.params))
        assert all(value.origin.kind == "file" for value in part.values)


# -- diff ---------------------------------------------------------------------------------------------------------


def changes(first: str, second: str) -> list[tuple[str, str, object, object]]:
    found = differences(
        Recipe.loads(f"recipe: 1\n{first}", host=HOST), Recipe.loads(f"recipe: 1\n{second}", host=HOST)
    )
    return [(change.kind, change.name, change.before, change.after) for change in found]


DIFFERENCES = [
    ("processors: [top_k: 4]", "processors: [top_k: 5]", [("changed", "top_k.k", 4, 5)]),
    ("processors: [top_k: 4]", "processors: []", [("removed", "top_k", {"top_k": 4}, None)]),
    ("processors: []", "processors: [top_k: 4]", [("added", "top_k", None, {"top_k": 4})]),
    (
        "processors: [top_k: 4, top_p: 0.5]",
        "processors: [top_p: 0.5, top_k: 4]",
        [("moved", "top_p", "processors[1]", "processors[0]")],
    ),
    (
        "processors: [top_k: 4, top_p: 0.5, top_k: 3]",
        "processors: [top_k: 4, top_p: 0.5, top_k: 2]",
        [("changed", "top_k#2.k", 3, 2)],
    ),
    ("strategy: greedy", "strategy: sample", [("changed", "strategy", "greedy", "sample")]),
    ("strategy: sample", "strategy: {sample: {seed: 3}}", [("changed", "strategy.seed", None, 3)]),
    ("stop: [eos]", "stop: [eos, max_time: 3]", [("added", "max_time", None, {"max_time": 3.0})]),
    ("compat: hf", "", [("changed", "compat", "hf", None)]),
    ("name: a", "name: b", []),
    ("processors: [TopKLogitsWarper: {top_k: 4}]", "processors: [top_k: {k: 4, min_keep: 1}]", []),
]


@pytest.mark.parametrize(
    ("first", "second", "expected"), DIFFERENCES, ids=[f"{c[0]} {c[1]}"[:60] for c in DIFFERENCES]
)
def test_a_difference_is_named(first: str, second: str, expected: list[tuple[object, ...]]) -> None:
    assert changes(first, second) == expected


@given(recipes, recipes)
@settings(max_examples=60, deadline=None)
def test_nothing_differs_exactly_where_the_fingerprints_agree(first: Recipe, second: Recipe) -> None:
    assert differences(first, first) == []
    assert (differences(first, second) == []) == (first.fingerprint == second.fingerprint)
