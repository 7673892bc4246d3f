"""A tree and the installed steps -> the fields of a recipe, or located problems: all of them at once."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from typing import Any

from ..contracts.specs import StepSpec, StrategySpec
from ..contracts.steps import Step, StrategyUse
from .keys import TOP_LEVEL
from .names import Names
from .report import Problems
from .steps import Use, named, validated, without_null
from .syntax.nodes import MappingNode, Node, ScalarNode, SequenceNode, is_refused

_COMPAT = {"hf": "hf"}
_ON_BAD_ROW = {"error": "error", "stop_row": "stop_row"}
_TRUTH = {"true": True, "false": False}
_ROLE_OF = {"processors": "processor", "stop": "stop"}
MAX_SEED = 2**64 - 1


@dataclass(slots=True)
class Checked:
    """`fields` are the keyword arguments of `Recipe`, meaningful where there was no problem; `uses` has, beside
    each step of a list, its name and parameters in the tree."""

    fields: dict[str, Any] = field(default_factory=dict)
    strategy: Use[StrategySpec] | None = None
    uses: dict[str, list[Use[StepSpec]]] = field(default_factory=lambda: {"processors": [], "stop": []})


def check_tree(root: MappingNode, names: Names, problems: Problems) -> Checked:
    """Every key of a composed recipe against the installed steps."""
    checked = Checked()
    fields = checked.fields
    needed = root.get("requires")
    if needed is not None:
        # lazy: few recipes need packaging
        from .compose.requires import required  # noqa: PLC0415

        fields["requires"], names.absent = required(needed.value, problems)
    for entry in root.entries:
        key, node = entry.key, entry.value
        if problems.full:
            break
        if key.refused or (isinstance(node, ScalarNode) and node.refused):
            continue
        match key.text:
            case "recipe" | "requires":
                pass
            case "name" | "description":
                fields[key.text] = _text(node, key.text, problems)
            case "strategy":
                fields["strategy"], checked.strategy = _strategy(node, names, problems)
            case "processors" | "stop":
                fields[key.text], checked.uses[key.text] = _steps(node, key.text, names, problems)
            case "compat":
                fields["compat"] = _choice(node, "compat", _COMPAT, problems) if without_null(node) else None
            case "on_bad_row":
                fields["on_bad_row"] = _choice(node, "on_bad_row", _ON_BAD_ROW, problems)
            case "include_stop":
                fields["include_stop"] = _choice(node, "include_stop", _TRUTH, problems)
            case _:
                _unknown_key(key, problems)
    return checked


def _unknown_key(key: ScalarNode, problems: Problems) -> None:
    close = difflib.get_close_matches(key.text[:50], TOP_LEVEL, n=1)
    remedy = f"did you mean {close[0]!r}?" if close else f"a recipe has: {', '.join(TOP_LEVEL)}"
    if key.text == "seed":
        remedy = "it belongs to the strategy: 'strategy: {sample: {seed: 42}}'"
    problems.add(key.span, "unknown-key", f"a recipe has no key {key.text!r}", remedy)


def _text(node: Node, key: str, problems: Problems) -> str:
    if isinstance(node, ScalarNode) and (node.value is None or isinstance(node.value, str)):
        return node.value or ""
    remedy = f'write "{node.text}", in quotes' if isinstance(node, ScalarNode) else "write one line of text"
    problems.add(node.span, "bad-value", f"{key} is text", remedy, key)
    return ""


def _choice(node: Node, key: str, choices: dict[str, Any], problems: Problems) -> Any:
    """The value of the choice that `node` spells; the first one after a problem."""
    given = {SequenceNode: "a list", MappingNode: "a mapping"}.get(type(node), "empty")
    if isinstance(node, ScalarNode):
        for value in choices.values():
            if node.value is value or (isinstance(value, str) and node.value == value):
                return value
        given = node.text or given
    word = (difflib.get_close_matches(given[:50].lower(), choices, n=1) or list(choices))[0]
    remedy = f"write {key}: {word}"
    if isinstance(node, ScalarNode) and node.text == word:
        remedy += ", without quotes"
    elif isinstance(node, ScalarNode) and node.ambiguous and "true" in choices:
        remedy = f"{node.ambiguous.remedy}: only true and false are truth values"
    problems.add(node.span, "bad-value", f"{key} is {' or '.join(choices)}, not {given}", remedy, key)
    return next(iter(choices.values()))


def _strategy(
    node: Node, names: Names, problems: Problems
) -> tuple[StrategyUse | None, Use[StrategySpec] | None]:
    whole = use = named(node, "strategy", "strategy", names.strategy, problems)
    if use is None:
        return None, None
    seed = None
    if isinstance(use.given, MappingNode):
        entry = use.given.get("seed")
        rest = [other for other in use.given.entries if other is not entry]
        if entry is not None:
            seed = _seed(entry.value, f"strategy.{use.name.text}.seed", problems)
        use = Use(use.name, MappingNode(use.given.span, rest, use.given.flow), use.qualified, use.spec)
    return StrategyUse(use.spec, validated(use, "strategy", problems), use.qualified, seed), whole


def _seed(node: Node, path: str, problems: Problems) -> int | None:
    value = node.value if isinstance(node, ScalarNode) else None
    if is_refused(node) or (isinstance(node, ScalarNode) and value is None):
        return None
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_SEED:
        return value
    problems.add(
        node.span,
        "bad-value",
        "a seed is a whole number from 0 to 2**64 - 1",
        "write for example 'seed: 42'",
        path,
    )
    return None


def _steps(
    node: Node, key: str, names: Names, problems: Problems
) -> tuple[tuple[Step, ...], list[Use[StepSpec]]]:
    empty = without_null(node) is None or (isinstance(node, SequenceNode) and not node.items)
    if empty and key == "stop":
        problems.add(
            node.span,
            "shape",
            "stop has no rules",
            "take it out for the default: eos and max_new_tokens: 256",
            key,
        )
    if empty:
        return (), []
    if not isinstance(node, SequenceNode):
        example = "- temperature: 0.7" if key == "processors" else "- eos"
        problems.add(node.span, "shape", f"{key} is a list", f"write one item a line: '{example}'", key)
        return (), []
    found, uses = [], []
    for index, item in enumerate(node.items):
        if problems.full:
            break
        path = f"{key}[{index}]"
        use = named(item, "step", path, names.step, problems)
        if use is None:
            continue
        if use.spec.role != _ROLE_OF[key]:
            is_a, home = ("stop rule", "stop") if use.spec.role == "stop" else ("processor", "processors")
            problems.add(
                use.name.span, "wrong-list", f"{use.name.text} is a {is_a}", f"move it below '{home}:'", path
            )
            continue
        found.append(Step(use.spec, validated(use, path, problems), use.qualified))
        uses.append(use)
    return tuple(found), uses
