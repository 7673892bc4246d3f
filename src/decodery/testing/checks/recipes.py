"""Recipes that a package brings."""

from __future__ import annotations

from ...contracts.specs import RecipeSource
from ...host.registry import Host
from ...recipe.recipe import Recipe
from ..case import Case
from .check import check, require


@check("recipe", remedy="'decodery recipe check' shows each mistake at its place")
def reads_and_round_trips(case: Case) -> None:
    """It is there, it is a recipe of installed steps, and what is written of it reads back the same."""
    host = Host()
    matches = [name for name, source in host.all(RecipeSource) if source == case.spec]
    require(bool(matches), "is brought by no plugin that is installed and switched on")
    recipe = Recipe.load(matches[0], host=host)
    require(
        Recipe.loads(recipe.to_yaml(), host=host) == recipe,
        "is written as a recipe that reads back otherwise",
    )


CHECKS = (reads_and_round_trips,)
