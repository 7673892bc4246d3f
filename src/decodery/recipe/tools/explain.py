"""Every value of a recipe, and where it came from: a default, a file, a base, a patch or the command line."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from ...contracts.params import accepted_names, first_field, param_values
from ...contracts.specs import StepSpec, StrategySpec
from ...contracts.steps import Step, StrategyUse
from ..compose.overrides import COMMAND_LINE
from ..recipe import Examined, Recipe
from ..report import Span
from ..steps import Use
from ..syntax.nodes import MappingNode, Node
from ..syntax.write import plain

Kind = Literal["default", "file", "base", "patch", "command line"]
_OPTIONS = ("compat", "on_bad_row", "include_stop")


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value was said last. `source`, `line` and `column` are empty for a default."""

    kind: Kind
    source: str = ""
    line: int = 0
    column: int = 0


@dataclass(frozen=True, slots=True)
class Value:
    """A parameter or an option as it is in effect."""

    name: str
    value: object
    origin: Origin


@dataclass(frozen=True, slots=True)
class Part:
    """The strategy or a step. `notes` are facts about it, a word each; more kinds of them may be added."""

    path: str
    name: str
    origin: Origin
    summary: str = ""
    values: tuple[Value, ...] = ()
    notes: dict[str, list[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Explanation:
    """A recipe taken apart; `needs` are the facts that its parts are handed at bind."""

    strategy: Part
    processors: tuple[Part, ...]
    stop: tuple[Part, ...]
    options: tuple[Value, ...]
    needs: tuple[str, ...]


def explain(examined: Examined) -> Explanation:
    """Take a recipe apart. Raises `RecipeError` with every problem, where it has some."""
    recipe, checked, root = examined.result(), examined.checked, examined.root
    lists = {
        key: tuple(
            _part(step, use, f"{key}[{index}]")
            for index, (step, use) in enumerate(zip(steps, checked.uses[key], strict=True))
        )
        for key, steps in (("processors", recipe.processors), ("stop", recipe.stop))
    }
    steps = (*recipe.processors, *recipe.stop)
    needs = recipe.strategy.spec.needs.union(*(step.spec.needs for step in steps))
    return Explanation(
        _part(recipe.strategy, checked.strategy, "strategy"),
        lists["processors"],
        lists["stop"],
        tuple(_option(recipe, root, key) for key in _OPTIONS),
        tuple(sorted(needs)),
    )


def origin_of(span: Span | None) -> Origin:
    """What the place of a node says of where it came from."""
    if span is None or span.source.name == "<default>":
        return Origin("default")
    source = span.source
    kind: Kind = "file"
    if source.name == COMMAND_LINE:
        kind = "command line"
    elif source.layer == "patch":
        kind = "patch"
    elif source.via is not None:
        kind = "base"
    return Origin(kind, source.name, span.line, span.column)


def _part(step: Step | StrategyUse, use: Use[StepSpec] | Use[StrategySpec] | None, path: str) -> Part:
    spec = step.spec
    given = _given(use.given if use else None, spec.params)
    values = [
        Value(name, plain(value), origin_of(given.get(name)))
        for name, value in param_values(step.params).items()
    ]
    notes: dict[str, list[str]] = {}
    if isinstance(step, StrategyUse):
        values.append(Value("seed", step.seed, origin_of(given.get("seed"))))
        notes = {"draw": [step.spec.draw], "further models": list(step.spec.roles)}
    else:
        notes = {"traits": sorted(step.spec.traits)}
        if step.spec.role == "stop":
            notes["finish reason"] = [step.spec.finish_reason or step.spec.name]
    notes["needs"] = sorted(spec.needs)
    notes = {label: words for label, words in notes.items() if words}
    origin = origin_of(use.name.span if use else None)
    return Part(path, step.qualified, origin, spec.summary, tuple(values), notes)


def _given(node: Node | None, params: type | None) -> dict[str, Span]:
    """Parameter -> where its value stands."""
    if node is None:
        return {}
    if isinstance(node, MappingNode):
        accepted = accepted_names(params)
        return {accepted.get(entry.key.text, entry.key.text): entry.value.span for entry in node.entries}
    first = first_field(params) if params is not None else None
    return {first: node.span} if first else {}


def _option(recipe: Recipe, root: MappingNode | None, key: str) -> Value:
    entry = root.get(key) if root else None
    return Value(key, getattr(recipe, key), origin_of(entry.value.span if entry else None))
