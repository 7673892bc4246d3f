"""Recipes as plain data: the short form, the filled one, and what a fingerprint is made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..contracts.errors import NotSerializable
from ..contracts.params import first_field, non_default_values, param_values
from ..contracts.steps import Step, StrategyUse
from .keys import VERSION
from .syntax.write import plain

if TYPE_CHECKING:
    from .recipe import Recipe


def as_data(recipe: Recipe, *, filled: bool = False) -> dict[str, object]:
    """What a recipe's file says, with or without the values that are at their defaults.

    Raises `NotSerializable` for steps that no plugin registered.
    """
    data: dict[str, object] = {"recipe": VERSION}
    if recipe.name:
        data["name"] = recipe.name
    if recipe.description:
        data["description"] = recipe.description
    if recipe.requires:
        data["requires"] = list(recipe.requires)
    if recipe.compat is not None or filled:
        data["compat"] = recipe.compat
    written = _filled if filled else short
    data["strategy"] = written(recipe.strategy)
    if recipe.processors or filled:
        data["processors"] = [written(step) for step in recipe.processors]
    data["stop"] = [written(step) for step in recipe.stop]
    if recipe.on_bad_row != "error" or filled:
        data["on_bad_row"] = recipe.on_bad_row
    if recipe.include_stop or filled:
        data["include_stop"] = recipe.include_stop
    return data


def fingerprinted(use: Step | StrategyUse) -> dict[str, object]:
    """What a step does: its name, its version and every parameter."""
    name = use.qualified or use.spec.name
    return {"name": name, "version": use.spec.version, "params": plain(param_values(use.params))}


def short(use: Step | StrategyUse) -> object:
    """The shortest form: `eos`, `{temperature: 0.7}` where only the first parameter is set, else all set."""
    name = _name(use)
    values = {key: plain(value) for key, value in non_default_values(use.params).items()}
    seed = use.seed if isinstance(use, StrategyUse) else None
    if seed is None and use.spec.params is not None and list(values) == [first_field(use.spec.params)]:
        (value,) = values.values()
        if value is not None and not isinstance(value, dict):
            return {name: value}
    if seed is not None:
        values["seed"] = seed
    return {name: values} if values else name


def _filled(use: Step | StrategyUse) -> object:
    """Every parameter by name, and a strategy's seed."""
    name = _name(use)
    values = {key: plain(value) for key, value in param_values(use.params).items()}
    if isinstance(use, StrategyUse):
        values["seed"] = use.seed
    return {name: values} if values else name


def _name(use: Step | StrategyUse) -> str:
    if not use.qualified:
        raise NotSerializable(
            f"{use.spec.name!r} is an object that no plugin registered",
            remedy="give it a name: a package with the entry point 'decodery' can",
        )
    return use.qualified
