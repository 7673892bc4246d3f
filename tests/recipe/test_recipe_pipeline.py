"""Recipe -> Pipeline -> Recipe, and repr -> Pipeline: nothing is lost on the way."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from recipes_by_chance import HOST, recipes

from decodery.engine.pipeline import Pipeline
from decodery.recipe.recipe import Recipe


@given(recipes)
@settings(max_examples=100, deadline=None)
def test_a_recipe_comes_back_from_its_pipeline(recipe: Recipe) -> None:
    pipe = recipe.pipeline()
    assert pipe.to_recipe() == recipe
    assert pipe.to_recipe().fingerprint == recipe.fingerprint
    assert Recipe.loads(pipe.to_recipe().to_yaml(), host=HOST).pipeline() == pipe


@given(recipes)
@settings(max_examples=100, deadline=None)
def test_repr_is_code_that_builds_an_equal_pipeline(recipe: Recipe) -> None:
    pipe = Pipeline.from_recipe(recipe, HOST)
    again = eval(repr(pipe), {"Pipeline": lambda: Pipeline(host=HOST)})
    assert again == pipe
    assert repr(again) == repr(pipe)


@pytest.mark.parametrize(
    "code",
    [
        "Pipeline()",
        "Pipeline().add('top_k', 5).add('top_k', 5)",
        "Pipeline().compat('hf').with_strategy('sample', seed=3)",
        "Pipeline().stop('eos').with_options(on_bad_row='stop_row', include_stop=True)",
    ],
)
def test_repr_of_code_is_that_code(code: str) -> None:
    assert repr(eval(code, {"Pipeline": Pipeline})) == code


def test_equal_recipes_have_equal_fingerprints_and_others_have_not() -> None:
    """Of what a recipe is written with only its meaning counts."""
    plain = "recipe: 1\nstrategy: sample\nprocessors: [top_k: 5, top_p: 0.9]"
    same = [
        "# a comment\nprocessors:\n  - TopKLogitsWarper: {top_k: 5, ties: keep}\n  - decodery/top_p: {p: 9.0e-1}\n"
        "strategy: {sample: {seed: null}}\nstop: [eos: , max_new_tokens: {max_new_tokens: 0x100}]\nrecipe: 1\nname: x",
        "recipe: 1\nstrategy: sample\nprocessors: [top_k: 5]\npatch: [{insert: {top_p: 0.9}}]\nrequires: [pluggy]",
    ]
    other = [plain.replace("5", "6"), plain.replace("sample", "greedy"), f"{plain}\ncompat: hf"]
    wanted = Recipe.loads(plain).fingerprint
    assert all(Recipe.loads(text).fingerprint == wanted for text in same)
    assert all(Recipe.loads(text).fingerprint != wanted for text in other)
