"""Changing one value of a recipe's tree: what a patch's `set` and the command line's `-o` have in common."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import Literal

from ...contracts.errors import UnknownName
from ...contracts.params import accepted_names, first_field
from ...contracts.specs import StepSpec, StrategySpec
from ..keys import BUILDING, SETTABLE
from ..names import Names
from ..report import Problems, Span
from ..syntax.nodes import Entry, MappingNode, Node, ScalarNode, SequenceNode

Kind = Literal["override", "patch"]
_KEY = re.compile(
    r"\s*(?P<name>(?:[^\s/=#]+/)?[^\s/=#.]+)(?:#(?P<nth>[0-9]{1,6}))?(?:\.(?P<param>[^\s=#.]+))?\s*\Z"
)
_MISSING = {
    "override": "add it to the recipe, which has: {have}",
    "patch": "add it with 'insert'; the recipe has: {have}",
}
_SET = {"override": "write {name}=VALUE", "patch": "write '{name}: VALUE'"}


@dataclass(frozen=True, slots=True)
class Target:
    """`name#nth.param`: a step, the n-th of that name, and one of its parameters (None: the step itself)."""

    name: ScalarNode
    nth: int | None
    param: ScalarNode | None
    kind: Kind
    path: str = ""

    @property
    def span(self) -> Span:
        """`name#nth`."""
        length = 0 if self.nth is None else 1 + len(str(self.nth))
        return Span(
            self.name.span.source, self.name.span.line, self.name.span.column, self.name.span.length + length
        )


@dataclass(frozen=True, slots=True)
class Spot:
    """A step in the recipe: the list it is in, and where."""

    items: list[Node]
    index: int
    key: str

    @property
    def path(self) -> str:
        return f"{self.key}[{self.index}]"


def read_target(text: str, whole: Span, kind: Kind, path: str = "", *, exact: bool = True) -> Target | None:
    """The target that `text` spells; None when it spells none. `whole` is where the text stands; `exact` says
    that its characters stand there one by one, as they do not in a quoted key."""
    match = _KEY.match(text)
    if match is None:
        return None

    def part(group: str) -> ScalarNode:
        span = whole
        if exact:
            span = Span(whole.source, whole.line, whole.column + match.start(group), len(match[group]))
        return ScalarNode(span, match[group], match[group])

    nth = int(match["nth"]) if match["nth"] else None
    return Target(part("name"), nth, part("param") if match["param"] else None, kind, path)


def set_value(root: MappingNode, target: Target, value: Node, names: Names, problems: Problems) -> None:
    """Write `value` into the tree, where `target` points."""
    name = target.name
    if name.text in SETTABLE:
        _set_top_level(root, target, value, names, problems)
    elif name.text in BUILDING:
        problems.add(
            name.span,
            target.kind,
            f"{name.text!r} says how to read the file, and is not changed from here",
            "write it at the top of a file",
            target.path,
        )
    else:
        spot = find(root, target, names, problems)
        if spot is not None:
            spot.items[spot.index] = _changed(spot.items[spot.index], target, value, names, StepSpec)


def find(root: MappingNode, target: Target, names: Names, problems: Problems) -> Spot | None:
    """The one step that `target` names; None after a problem."""
    spots = _spots(root, target.name.text, names)
    name, nth = target.name, target.nth
    if not spots:
        _report_missing(root, target, names, problems)
    elif nth is None and len(spots) > 1:
        paths = " and ".join(spot.path for spot in spots[:4])
        problems.add(
            name.span,
            target.kind,
            f"the recipe has {len(spots)} steps {name.text!r}: {paths}",
            f"write {name.text}#1 for the first, {name.text}#2 for the second",
            target.path,
        )
    elif nth is not None and not 1 <= nth <= len(spots):
        problems.add(
            target.span,
            target.kind,
            f"the recipe has {len(spots)} of {name.text!r}, so there is no #{nth}",
            f"count from {name.text}#1",
            target.path,
        )
    else:
        return spots[(nth or 1) - 1]
    return None


def name_of(item: Node) -> ScalarNode | None:
    """The name of a step as a recipe writes it; None where there is none."""
    if isinstance(item, ScalarNode):
        return item
    return item.entries[0].key if isinstance(item, MappingNode) and len(item.entries) == 1 else None


def _set_top_level(root: MappingNode, target: Target, value: Node, names: Names, problems: Problems) -> None:
    key = target.name
    entry = root.get(key.text)
    if target.nth is not None or (target.param is not None and key.text != "strategy"):
        remedy = _SET[target.kind].format(name=key.text)
        problems.add(key.span, target.kind, f"{key.text!r} is one value", remedy, target.path)
    elif target.param is not None and entry is not None:
        entry.value = _changed(entry.value, target, value, names, StrategySpec)
    elif entry is not None:
        entry.value = value
    else:
        root.entries.append(Entry(key, value))


def _spots(root: MappingNode, name: str, names: Names) -> list[Spot]:
    wanted = _qualified(name, names)
    return [
        spot
        for spot, used in _steps(root)
        if used == name or (wanted is not None and _qualified(used, names) == wanted)
    ]


def _steps(root: MappingNode) -> list[tuple[Spot, str]]:
    """Every step of the recipe with the name that it is written with."""
    found = []
    for key in ("processors", "stop"):
        entry = root.get(key)
        if entry is not None and isinstance(entry.value, SequenceNode):
            items = entry.value.items
            for index, item in enumerate(items):
                name = name_of(item)
                if name is not None:
                    found.append((Spot(items, index, key), name.text))
    return found


def _qualified(name: str, names: Names) -> str | None:
    try:
        return names.step(name)[0]
    except UnknownName:
        return None


def _changed(
    item: Node, target: Target, value: Node, names: Names, kind: type[StepSpec] | type[StrategySpec]
) -> Node:
    """`item` with the value in it; one that names nothing stays, for the check to complain of."""
    name = name_of(item)
    if name is None:
        return item
    try:
        spec = names.step(name.text)[1] if kind is StepSpec else names.strategy(name.text)[1]
    except UnknownName:
        return item
    first = first_field(spec.params) if spec.params is not None else None
    old = item.entries[0].value if isinstance(item, MappingNode) else None
    if target.param is not None:
        new = [Entry(target.param, value)]
    elif isinstance(value, MappingNode):
        new = value.entries
    elif first is not None:
        new = [Entry(ScalarNode(target.name.span, first, first), value)]
    else:
        return MappingNode(value.span, [Entry(name, value)], flow=True)
    kept: list[Entry] = []
    if isinstance(old, MappingNode):
        kept = old.entries
    elif old is not None and first is not None and not (isinstance(old, ScalarNode) and old.value is None):
        kept = [Entry(ScalarNode(name.span, first, first), old)]
    accepted = accepted_names(spec.params)
    replaced = {accepted.get(entry.key.text, entry.key.text) for entry in new}
    kept = [entry for entry in kept if accepted.get(entry.key.text, entry.key.text) not in replaced]
    given = MappingNode(value.span, [*kept, *new], flow=True)
    return MappingNode(item.span, [Entry(name, given)], flow=True)


def _report_missing(root: MappingNode, target: Target, names: Names, problems: Problems) -> None:
    name = target.name
    have = list(dict.fromkeys(used for _, used in _steps(root)))
    listed = ", ".join(have)
    if _qualified(name.text, names) is not None:
        message = f"the recipe has no step {name.text!r}"
        remedy = _MISSING[target.kind].format(have=listed)
    else:
        close = difflib.get_close_matches(name.text[:100], [*have, *SETTABLE], n=1)
        message = f"the recipe has no step or key {name.text!r}"
        remedy = f"did you mean {close[0]!r}?" if close else f"it has: {listed}"
        if name.text == "seed":
            remedy = _SET[target.kind].format(name="strategy.seed").replace("VALUE", "42")
    problems.add(name.span, target.kind, message, remedy, target.path)
