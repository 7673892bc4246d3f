"""A recipe: checked data, from text and back to text."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from ..contracts.errors import InvalidInput, NotSerializable, RecipeError
from ..contracts.params import first_field, non_default_values, param_values
from ..contracts.steps import Step, StrategyUse
from ..host.registry import Host
from . import overrides as command_line
from .check import MAX_SEED, VERSION, as_recipe_mapping, check_tree, with_defaults
from .names import Names
from .presets import hf
from .presets.common.carried import Carried
from .report import Problem, Problems, render
from .sources import fetch
from .syntax.nodes import MappingNode
from .syntax.text import read
from .syntax.write import canonical_json, document, plain
from .tree import parse

if TYPE_CHECKING:
    from ..engine.pipeline import Pipeline


@dataclass(frozen=True)
class Recipe:
    """A strategy, ordered processors and stop rules, with every name looked up and every parameter checked.

    Raises `InvalidInput` for what no recipe text can say: no stop rule at all, a seed out of bounds.
    """

    strategy: StrategyUse
    processors: tuple[Step, ...]
    stop: tuple[Step, ...]
    name: str = ""
    description: str = ""
    compat: Literal["hf"] | None = None
    on_bad_row: Literal["error", "stop_row"] = "error"
    include_stop: bool = False
    carried: tuple[Carried, ...] = field(default=(), compare=False, repr=False)
    """Where another library's configuration was read: what became of each of its keys."""

    def __post_init__(self) -> None:
        if not self.stop:
            raise InvalidInput(
                "a recipe without a stop rule never ends", remedy="give it eos and max_new_tokens"
            )
        seed = self.strategy.seed
        if seed is not None and not 0 <= seed <= MAX_SEED:
            raise InvalidInput(f"seed = {seed}", remedy="a seed is a whole number from 0 to 2**64 - 1")

    @classmethod
    def load(
        cls, source: str | os.PathLike[str], *, overrides: Sequence[str] = (), host: Host | None = None
    ) -> Recipe:
        """Read a file, or the recipe of that name in the box or in a plugin ("chat", "acme-decode/chat").

        A `source` with a separator or ending in .yaml or .yml is a path. `overrides` are like those of `-o`:
        "top_p=0.8", "strategy.seed=3". Raises `RecipeError` with every problem, `PluginError` when a plugin's
        recipe cannot be read.
        """
        host = host or Host()
        name, raw = fetch(source, host)
        return cls.loads(raw, source=name, overrides=overrides, host=host)

    @classmethod
    def loads(
        cls,
        text: str | bytes,
        *,
        source: str = "<string>",
        overrides: Sequence[str] = (),
        host: Host | None = None,
    ) -> Recipe:
        """Read a recipe's text; `source` names it in messages. Raises `RecipeError` with every problem."""
        recipe, problems = check_text(text, source, overrides, host)
        if recipe is None:
            raise RecipeError(render(problems), problems)
        return recipe

    @classmethod
    def from_dict(
        cls, data: Mapping[str, object], *, overrides: Sequence[str] = (), host: Host | None = None
    ) -> Recipe:
        """A recipe from plain data shaped like the YAML, checked the same way. Raises `RecipeError`."""
        if not isinstance(data, Mapping):
            raise InvalidInput(
                f"a recipe as data is a mapping, not a {type(data).__name__}",
                remedy="Recipe.load takes paths and names, Recipe.loads text",
            )
        try:
            text = document(data)
        except NotSerializable as error:
            problem = Problem(error.message, error.remedy, source="<dict>", code="not-data")
            raise RecipeError(render([problem]), [problem]) from None
        return cls.loads(text, source="<dict>", overrides=overrides, host=host)

    @classmethod
    def from_generation_config(cls, config: object, *, host: Host | None = None) -> Recipe:
        """What transformers' `generate` does with a `GenerationConfig`: the object, a dict, or a path.

        It has `compat: hf` and `generate`'s order. `carried` says of each key whether it came over exactly,
        approximated (how) or not at all (why). Raises `RecipeError` with every bad value.
        """
        found = hf.read(config, host)
        return cls(**found.fields, carried=found.carried)

    def to_yaml(self) -> str:
        """The recipe's text: `Recipe.loads(r.to_yaml()) == r`. Parameters at their defaults are left out.

        Raises `NotSerializable` for steps that no plugin registered, and beyond what a recipe file may hold.
        """
        data: dict[str, object] = {"recipe": VERSION}
        if self.name:
            data["name"] = self.name
        if self.description:
            data["description"] = self.description
        if self.compat is not None:
            data["compat"] = self.compat
        data["strategy"] = _written(self.strategy)
        if self.processors:
            data["processors"] = [_written(step) for step in self.processors]
        data["stop"] = [_written(step) for step in self.stop]
        if self.on_bad_row != "error":
            data["on_bad_row"] = self.on_bad_row
        if self.include_stop:
            data["include_stop"] = True
        return document(data)

    def pipeline(self) -> Pipeline:
        """The pipeline that runs this recipe."""
        # The one import upward, lazy because it brings torch.
        from ..engine.pipeline import Pipeline  # noqa: PLC0415

        return Pipeline.from_recipe(self)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of what the recipe does, in hexadecimal.

        Of the filled recipe as canonical JSON: it does not depend on layout, comments, aliases, spelled-out
        defaults, name or description; it changes with any number and with a step's version.
        Raises `NotSerializable`.
        """
        filled = {
            "recipe": VERSION,
            "strategy": {**_filled(self.strategy), "seed": self.strategy.seed},
            "processors": [_filled(step) for step in self.processors],
            "stop": [_filled(step) for step in self.stop],
            "compat": self.compat,
            "on_bad_row": self.on_bad_row,
            "include_stop": self.include_stop,
        }
        return hashlib.sha256(canonical_json(filled).encode()).hexdigest()


def check_text(
    text: str | bytes, source: str = "<string>", overrides: Sequence[str] = (), host: Host | None = None
) -> tuple[Recipe | None, list[Problem]]:
    """(recipe, []) or (None, its problems in the order of the text, those of the overrides last)."""
    if isinstance(overrides, str) or not all(isinstance(override, str) for override in overrides):
        raise InvalidInput(f"overrides = {overrides!r}", remedy="give a list of texts like 'top_p=0.8'")
    if not isinstance(text, (str, bytes)):
        raise InvalidInput(f"a recipe's text is str or bytes, not {type(text).__name__}")
    problems = Problems()
    names = Names(host or Host())
    changes = command_line.read(overrides, problems)
    root = _root(text, source, problems)
    fields: dict[str, Any] = {}
    if root is not None:
        with_defaults(root)
        command_line.apply(root, changes, names, problems)
        fields = check_tree(root, names, problems)
    if problems:
        return None, sorted(problems, key=lambda p: (p.source == command_line.COMMAND_LINE, p.line, p.column))
    return Recipe(**{"processors": (), **fields}), []


def default_stop(host: Host | None = None) -> tuple[Step, ...]:
    """The stop rules of a recipe that has none of its own."""
    return Recipe.loads(f"recipe: {VERSION}", host=host).stop


def _root(text: str | bytes, name: str, problems: Problems) -> MappingNode | None:
    before = len(problems)
    found = read(text, name, problems)
    if found is None:
        return None
    source, clean = found
    root = parse(clean, source, problems)
    return as_recipe_mapping(root, source, problems) if len(problems) == before or root is not None else None


def _filled(use: Step | StrategyUse) -> dict[str, object]:
    name = use.qualified or use.spec.name
    return {"name": name, "version": use.spec.version, "params": plain(param_values(use.params))}


def _written(use: Step | StrategyUse) -> object:
    """The shortest form: `eos`, `{temperature: 0.7}` where only the first parameter is set, else all set."""
    if not use.qualified:
        raise NotSerializable(
            f"{use.spec.name!r} is an object that no plugin registered",
            remedy="give it a name: a package with the entry point 'decodery' can",
        )
    values = {name: plain(value) for name, value in non_default_values(use.params).items()}
    seed = use.seed if isinstance(use, StrategyUse) else None
    if seed is None and use.spec.params is not None and list(values) == [first_field(use.spec.params)]:
        (value,) = values.values()
        if value is not None and not isinstance(value, dict):
            return {use.qualified: value}
    if seed is not None:
        values["seed"] = seed
    return {use.qualified: values} if values else use.qualified
