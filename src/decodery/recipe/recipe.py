"""A recipe: checked data, from text and back to text."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from ..contracts.errors import InvalidInput, NotSerializable, RecipeError
from ..contracts.steps import Step, StrategyUse
from ..host.registry import Host
from .check import MAX_SEED, Checked, check_tree
from .compose import overrides as command_line
from .compose.layers import compose
from .compose.sources import Found, Place, fetch
from .keys import VERSION
from .names import Names
from .report import Problem, Problems, render
from .syntax.nodes import MappingNode
from .syntax.write import canonical_json, document
from .written import as_data, fingerprinted

if TYPE_CHECKING:
    from ..engine.pipeline import Pipeline
    from .presets.common.carried import Carried


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
    requires: tuple[str, ...] = ()
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
        """Read a file and those that it extends, or the recipe of that name in the box or in a plugin ("chat",
        "acme-decode/chat").

        A `source` with a separator or ending in .yaml or .yml is a path. `overrides` are like those of `-o`:
        "top_p=0.8", "strategy.seed=3". Raises `RecipeError` with every problem, `PluginError` when a plugin's
        recipe cannot be read.
        """
        host = host or Host()
        return examine(fetch(source, host), overrides, host).result()

    @classmethod
    def loads(
        cls,
        text: str | bytes,
        *,
        source: str = "<string>",
        overrides: Sequence[str] = (),
        folder: str | os.PathLike[str] | None = None,
        host: Host | None = None,
    ) -> Recipe:
        """Read a recipe's text; `source` names it in messages. Raises `RecipeError` with every problem.

        A text may extend a recipe by name. Where `folder` says where it lies, it may extend files, too: a text
        from nowhere reads no files.
        """
        place = None if folder is None else Place(os.fsdecode(folder))
        return examine(Found(source, text, place), overrides, host or Host()).result()

    @classmethod
    def from_dict(
        cls,
        data: Mapping[str, object],
        *,
        overrides: Sequence[str] = (),
        folder: str | os.PathLike[str] | None = None,
        host: Host | None = None,
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
            problem = Problem(error.message, error.remedy, "<dict>", code="not-data")
            raise RecipeError(render([problem]), [problem]) from None
        return cls.loads(text, source="<dict>", overrides=overrides, folder=folder, host=host)

    @classmethod
    def from_generation_config(cls, config: object, *, host: Host | None = None) -> Recipe:
        """What transformers' `generate` does with a `GenerationConfig`: the object, a dict, or a path.

        It has `compat: hf` and `generate`'s order. `carried` says of each key whether it came over exactly,
        approximated (how) or not at all (why). Raises `RecipeError` with every bad value.
        """
        from .presets import hf  # noqa: PLC0415 (lazy: a recipe of one's own is checked a tenth sooner without)

        found = hf.read(config, host)
        return cls(**found.fields, carried=found.carried)

    def to_yaml(self, *, filled: bool = False) -> str:
        """The recipe's text: `Recipe.loads(r.to_yaml()) == r`. Values at their defaults are left out, or with
        `filled` spelled out, all of them.

        Raises `NotSerializable` for steps that no plugin registered, and beyond what a recipe file may hold.
        """
        return document(as_data(self, filled=filled))

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
            "strategy": {**fingerprinted(self.strategy), "seed": self.strategy.seed},
            "processors": [fingerprinted(step) for step in self.processors],
            "stop": [fingerprinted(step) for step in self.stop],
            "compat": self.compat,
            "on_bad_row": self.on_bad_row,
            "include_stop": self.include_stop,
        }
        return hashlib.sha256(canonical_json(filled).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Examined:
    """A recipe's text, looked at: the recipe where there is no problem, and the tree that it came from."""

    recipe: Recipe | None
    problems: list[Problem]
    checked: Checked
    root: MappingNode | None

    def result(self) -> Recipe:
        """The recipe. Raises `RecipeError` with every problem."""
        if self.recipe is None:
            raise RecipeError(render(self.problems), self.problems)
        return self.recipe


def examine(found: Found, overrides: Sequence[str], host: Host) -> Examined:
    """Read, compose and check. Problems come in the order of the texts: the file, those that it extends, the
    overrides."""
    if isinstance(overrides, str) or not all(isinstance(override, str) for override in overrides):
        raise InvalidInput(f"overrides = {overrides!r}", remedy="give a list of texts like 'top_p=0.8'")
    if not isinstance(found.raw, (str, bytes)):
        raise InvalidInput(f"a recipe's text is str or bytes, not {type(found.raw).__name__}")
    problems, names, checked = Problems(), Names(host), Checked()
    changes = command_line.read(overrides, problems)
    composed = compose(found, host, names, problems)
    if composed is not None:
        if composed.whole:
            command_line.apply(composed.root, changes, names, problems)
        checked = check_tree(composed.root, names, problems)
    recipe = None if problems else Recipe(**{"processors": (), **checked.fields})
    return Examined(recipe, sorted(problems, key=_order), checked, composed.root if composed else None)


def check_text(
    text: str | bytes, source: str = "<string>", overrides: Sequence[str] = (), host: Host | None = None
) -> tuple[Recipe | None, list[Problem]]:
    """(recipe, []) or (None, its problems)."""
    examined = examine(Found(source, text), overrides, host or Host())
    return examined.recipe, examined.problems


def default_stop(host: Host | None = None) -> tuple[Step, ...]:
    """The stop rules of a recipe that has none of its own."""
    return Recipe.loads(f"recipe: {VERSION}", host=host).stop


def _order(problem: Problem) -> tuple[bool, int, int, int]:
    return (
        problem.source == command_line.COMMAND_LINE,
        len(problem.notes),
        problem.line,
        problem.column,
    )
