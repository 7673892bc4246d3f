"""Recipes as plain data."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from recipes_by_chance import HOST, recipes

from decodery.contracts.errors import InvalidInput, RecipeError
from decodery.contracts.params import param_values
from decodery.contracts.steps import Step, StrategyUse
from decodery.recipe.recipe import Recipe


@given(recipes)
@settings(max_examples=30, deadline=None)
def test_a_dict_is_a_recipe_too(recipe: Recipe) -> None:
    def use(step: Step | StrategyUse) -> dict[str, object]:
        seed = {"seed": step.seed} if isinstance(step, StrategyUse) and step.seed is not None else {}
        return {step.qualified: {**param_values(step.params), **seed}}

    data = {
        "recipe": 1,
        "name": recipe.name,
        "description": recipe.description,
        "requires": list(recipe.requires),
        "compat": recipe.compat,
        "on_bad_row": recipe.on_bad_row,
        "include_stop": recipe.include_stop,
        "strategy": use(recipe.strategy),
        "processors": [use(step) for step in recipe.processors],
        "stop": tuple(use(step) for step in recipe.stop),
    }
    assert Recipe.from_dict(data, host=HOST) == recipe
    assert Recipe.from_dict(json.loads(json.dumps(data)), host=HOST) == recipe


def test_a_dicts_mistakes_are_located_in_its_text() -> None:
    with pytest.raises(RecipeError) as caught:
        Recipe.from_dict({"recipe": 1, "processors": [{"top_p": 1.5}, {"top_o": 1}]}, overrides=["compat=x"])
    assert str(caught.value).startswith("""\
error: top_p: p = 1.5: input should be less than or equal to 1
 --> <dict>:3:12  (processors[0].top_p.p)
3 |   - top_p: 1.5
""")
    assert [p.line for p in caught.value.problems] == [3, 4, 1]


NOT_DATA = [
    ({"recipe": 1, "stop": [{"stop_token_ids": {1, 2}}]}, "stop[0].stop_token_ids is a set"),
    ({"recipe": 1, "processors": [len]}, "processors[0] is a builtin_function_or_method"),
    ({"recipe": 1, "name": b"x"}, "name is a bytes"),
    ({1: 2}, "the key 1"),
    ({"recipe": 1, "processors": [{"top_k": {4: 4}}]}, "the key 4"),
    ({"recipe": 1, "name": "\ud800"}, "half of a character"),
    ({"recipe": 10**5000}, "integer"),
    ({"recipe": 1, "stop": [0] * 20_000}, "20,000 values"),
    ({"recipe": 1, "name": "x" * 300_000}, "256 KiB"),
    ({"recipe": 1, "x" * 2000: 1}, "a key of 2000 characters"),
]


@pytest.mark.parametrize(("data", "message"), NOT_DATA, ids=[message for _, message in NOT_DATA])
def test_what_is_no_data_is_refused(data: dict[str, object], message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        Recipe.from_dict(data)
    assert message in caught.value.problems[0].message


def test_data_within_itself_is_refused() -> None:
    knot: list[object] = []
    knot.append(knot)
    with pytest.raises(RecipeError, match="24 levels"):
        Recipe.from_dict({"recipe": 1, "stop": knot})


def test_a_recipe_must_be_of_the_right_type() -> None:
    with pytest.raises(InvalidInput, match="mapping"):
        Recipe.from_dict([("recipe", 1)])  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="str or bytes"):
        Recipe.loads(None)  # type: ignore[arg-type]
