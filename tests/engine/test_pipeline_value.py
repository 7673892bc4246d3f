"""A pipeline as a value, beyond the usual."""

from __future__ import annotations

import pytest
from engine_support import Observed

from decodery import Pipeline, Recipe
from decodery.contracts.errors import (
    NotSerializable,
)


def test_options_are_set_one_without_the_other() -> None:
    pipe = Pipeline().with_options(include_stop=True).with_options(on_bad_row="stop_row")
    assert (pipe.include_stop, pipe.on_bad_row) == (True, "stop_row")


def test_a_recipes_name_survives_the_pipeline() -> None:
    recipe = Recipe.from_dict({"recipe": 1, "name": "mine"})
    assert recipe.pipeline().to_recipe().name == "mine"


def test_an_unregistered_stop_rule_cannot_be_written_and_its_parameters_tell_it_apart() -> None:
    with pytest.raises(NotSerializable, match="observed"):
        Pipeline().stop(Observed).to_recipe()
    assert Pipeline().stop(Observed, after=2) == Pipeline().stop(Observed, after=2)
    assert Pipeline().stop(Observed, after=2) != Pipeline().stop(Observed, after=3)
