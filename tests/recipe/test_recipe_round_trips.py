"""Text -> Recipe -> text is the same recipe, whatever it holds; what cannot be written says so."""

from __future__ import annotations

import dataclasses

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from recipes_by_chance import GREEDY, HOST, recipes, texts

from decodery.contracts.errors import InvalidInput, NotSerializable, RecipeError
from decodery.contracts.specs import StepSpec
from decodery.contracts.steps import Step, fill
from decodery.recipe.recipe import Recipe, default_stop
from decodery.recipe.syntax.write import quoted


@given(recipes)
@settings(max_examples=150, deadline=None)
def test_a_recipe_is_its_text(recipe: Recipe) -> None:
    text = recipe.to_yaml()
    again = Recipe.loads(text, host=HOST)
    assert again == recipe
    assert again.fingerprint == recipe.fingerprint
    assert again.to_yaml() == text
    assert all(char.isprintable() or char == "\n" for char in text)


@given(
    st.dictionaries(
        texts.filter(bool), texts | st.integers(-(10**18), 10**18) | st.booleans() | st.none(), max_size=5
    )
)
@settings(deadline=None)
def test_pyyaml_reads_the_text_alike(table: dict[str, object]) -> None:
    """Everything but floats, where YAML 1.1 wants a dot before the exponent."""
    step = HOST.step("everything")[1]
    written = {key: str(value) for key, value in table.items()}
    recipe = Recipe(GREEDY, (Step(step, fill(step, {"table": written}), "acme/everything"),), default_stop())
    data = yaml.safe_load(recipe.to_yaml())
    assert data["processors"] == [{"acme/everything": {"table": written}} if written else "acme/everything"]


@given(texts)
def test_text_is_bare_only_where_pyyaml_takes_it_for_the_same_text(text: str) -> None:
    assert yaml.safe_load(f"[{quoted(text)}]") == [text]


def test_only_what_differs_from_the_defaults_is_written() -> None:
    recipe = Recipe.loads("""
recipe: 1
strategy: {sample: }
on_bad_row: error
processors:
  - top_k: {k: 40, min_keep: 1, ties: keep}
  - top_p: {p: 0.9, min_keep: 3}
  - repetition_penalty: {penalty: 1.1, window: null}
""")
    assert (
        recipe.to_yaml()
        == """\
recipe: 1
strategy: sample
processors:
  - top_k: 40
  - top_p: {p: 0.9, min_keep: 3}
  - repetition_penalty: 1.1
stop:
  - eos
  - max_new_tokens: 256
"""
    )


# -- what cannot be written ---------------------------------------------------------------------------------------


def test_an_object_without_a_name_cannot_be_written() -> None:
    recipe = Recipe.loads("recipe: 1")
    loose = Step(StepSpec("mine", "processor", len), None, "")
    with pytest.raises(NotSerializable, match="'mine'"):
        dataclasses.replace(recipe, processors=(loose,)).to_yaml()


def test_a_recipe_that_no_file_may_hold_cannot_be_written() -> None:
    spec = HOST.step("stop_token_ids")[1]
    recipe = Recipe(GREEDY, (), (Step(spec, fill(spec, {"ids": list(range(30_000))}), "stop_token_ids"),))
    with pytest.raises(NotSerializable, match="20,000"):
        recipe.to_yaml()
    assert len(recipe.fingerprint) == 64


def test_what_a_file_may_just_hold_can_be_written() -> None:
    """The writer counts as the reader does, to the value and to the level."""
    spec = HOST.step("stop_token_ids")[1]
    others = 10  # the recipe, three keys, two of their values, the list, the item, its key and its list
    for count, fits in ((20_000 - others, True), (20_001 - others, False)):
        step = Step(spec, fill(spec, {"ids": [7] * count}), "stop_token_ids")
        recipe = Recipe(GREEDY, (), (step,))
        if fits:
            assert Recipe.loads(recipe.to_yaml()) == recipe
        else:
            with pytest.raises(NotSerializable):
                recipe.to_yaml()
    for depth, code in ((23, "bad-value"), (24, "not-data")):
        nest: list[object] = []
        for _ in range(depth - 1):
            nest = [nest]
        for data in ({"name": {"x": nest[0]}}, {"name": (nest[0],)}):
            with pytest.raises(RecipeError) as caught:
                Recipe.from_dict({"recipe": 1, **data})
            assert caught.value.problems[0].code == code


def test_long_keys_and_long_texts_are_written_so_that_they_are_read() -> None:
    spec = HOST.step("everything")[1]
    values = {"table": {"k" * length: "v" for length in (990, 1010, 1030, 5000)}, "text": "x" * 5000}
    recipe = Recipe(GREEDY, (Step(spec, fill(spec, values), "acme/everything"),), default_stop())
    assert Recipe.loads(recipe.to_yaml(), host=HOST) == recipe
    assert Recipe.from_dict({"recipe": 1, "processors": [{"acme/everything": values}]}, host=HOST) == recipe


def test_what_no_text_can_say_is_no_recipe() -> None:
    recipe = Recipe.loads("recipe: 1")
    with pytest.raises(InvalidInput, match="never ends"):
        dataclasses.replace(recipe, stop=())
    with pytest.raises(InvalidInput, match="seed"):
        dataclasses.replace(recipe, strategy=dataclasses.replace(recipe.strategy, seed=-1))
