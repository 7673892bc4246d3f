"""`-o top_p=0.8`: changes from the command line, made in the tree before it is checked.

So they are checked like anything else, and a mistake in the n-th is located as `<command line>:n:column`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from ..contracts.errors import UnknownName
from ..contracts.params import accepted_names, first_field
from ..contracts.specs import StepSpec, StrategySpec
from .check import TOP_LEVEL
from .names import Names
from .report import Problems, Source, Span
from .syntax.nodes import Entry, MappingNode, Node, ScalarNode, SequenceNode
from .syntax.text import clean
from .tree import parse

COMMAND_LINE = "<command line>"
_KEY = re.compile(
    r"\s*(?P<name>(?:[^\s/=#]+/)?[^\s/=#.]+)(?:#(?P<nth>[0-9]{1,6}))?(?:\.(?P<param>[^\s=#.]+))?\s*\Z"
)
_EXAMPLE = "write NAME=VALUE or NAME.PARAMETER=VALUE, for example top_p=0.8"
_LONGEST = 64 * 1024


@dataclass(frozen=True, slots=True)
class Override:
    """`name#nth.param=value`. `param` is None where the value is the step's own."""

    name: ScalarNode
    nth: int | None
    param: ScalarNode | None
    value: Node


@dataclass(frozen=True, slots=True)
class _Place:
    """A step in the recipe: the list it is in, and where."""

    items: list[Node]
    index: int
    path: str


def read(texts: Sequence[str], problems: Problems) -> list[Override]:
    """The overrides, in order; those that cannot be read are reported and left out."""
    # An override is one line: a break inside it becomes one that `clean` refuses.
    source = Source(COMMAND_LINE, tuple(re.sub("[\r\n]", "\u2028", text) for text in texts))
    found = [_read_one(line, source, problems) for line in range(1, len(texts) + 1)]
    return [override for override in found if override is not None]


def _read_one(line: int, source: Source, problems: Problems) -> Override | None:
    before = len(problems)
    text = clean(source.line(line), source, problems, line)
    key, equals, value = text.partition("=")
    match = _KEY.match(key)
    if len(text) > _LONGEST:
        problems.add(
            Span(Source(COMMAND_LINE), line, 1, 1), "too-large", "the override is too long", _EXAMPLE
        )
    elif not match or not equals:
        span = Span(source, line, 1, max(len(key), 1))
        problems.add(span, "override", f"{text[:60]!r} is no override", _EXAMPLE)
    if len(problems) > before or not match:
        return None
    node = _value(value, len(key) + 1, line, source, problems)
    if node is None:
        return None

    def part(group: str) -> ScalarNode:
        span = Span(source, line, match.start(group) + 1, len(match[group]))
        return ScalarNode(span, match[group], match[group])

    nth = int(match["nth"]) if match["nth"] else None
    return Override(part("name"), nth, part("param") if match["param"] else None, node)


def _value(text: str, column: int, line: int, source: Source, problems: Problems) -> Node | None:
    before = len(problems)
    # The value keeps its column: spaces stand for what comes before it.
    node = parse(" " * column + text, source, problems, line)
    if len(problems) > before:
        return None
    if node is None:
        remedy = 'write null, "" or [] for an empty one; put text that begins with # in quotes'
        problems.add(Span(source, line, column + 1, 1), "override", "there is no value after '='", remedy)
    elif not isinstance(node, ScalarNode) and not node.flow:
        remedy = "write [a, b] or {a: 1, b: 2}"
        problems.add(node.span, "override", "a list or mapping stands in brackets here", remedy)
        return None
    return node


def apply(root: MappingNode, overrides: Sequence[Override], names: Names, problems: Problems) -> None:
    """Make the changes in `root`, one after another."""
    for override in overrides:
        if problems.full:
            return
        if override.name.text in TOP_LEVEL:
            _set_top_level(root, override, names, problems)
        else:
            _set_step(root, override, names, problems)


def _set_top_level(root: MappingNode, override: Override, names: Names, problems: Problems) -> None:
    key = override.name
    entry = root.get(key.text)
    if override.nth is not None or (override.param is not None and key.text != "strategy"):
        problems.add(key.span, "override", f"{key.text!r} is one value", f"write {key.text}=VALUE")
    elif override.param is not None and entry is not None:
        entry.value = _changed(entry.value, override, names, StrategySpec)
    elif entry is not None:
        entry.value = override.value
    else:
        root.entries.append(Entry(key, override.value))


def _set_step(root: MappingNode, override: Override, names: Names, problems: Problems) -> None:
    places = _places(root, override.name.text, names)
    name, nth = override.name, override.nth
    if not places:
        _report_missing(root, name, names, problems)
    elif nth is None and len(places) > 1:
        paths = " and ".join(place.path for place in places[:4])
        problems.add(
            name.span,
            "override",
            f"the recipe has {len(places)} steps {name.text!r}: {paths}",
            f"write {name.text}#1 for the first, {name.text}#2 for the second",
        )
    elif nth is not None and not 1 <= nth <= len(places):
        problems.add(
            Span(name.span.source, name.span.line, name.span.column, name.span.length + 1 + len(str(nth))),
            "override",
            f"the recipe has {len(places)} of {name.text!r}, so there is no #{nth}",
            f"count from {name.text}#1",
        )
    else:
        place = places[(nth or 1) - 1]
        place.items[place.index] = _changed(place.items[place.index], override, names, StepSpec)


def _places(root: MappingNode, name: str, names: Names) -> list[_Place]:
    wanted = _qualified(name, names)
    return [
        place
        for place, used in _steps(root)
        if used == name or (wanted is not None and _qualified(used, names) == wanted)
    ]


def _steps(root: MappingNode) -> list[tuple[_Place, str]]:
    """Every step of the recipe with the name that it is written with."""
    found = []
    for key in ("processors", "stop"):
        entry = root.get(key)
        if entry is not None and isinstance(entry.value, SequenceNode):
            items = entry.value.items
            for index, item in enumerate(items):
                name = _name_of(item)
                if name is not None:
                    found.append((_Place(items, index, f"{key}[{index}]"), name.text))
    return found


def _name_of(item: Node) -> ScalarNode | None:
    if isinstance(item, ScalarNode):
        return item
    return item.entries[0].key if isinstance(item, MappingNode) and len(item.entries) == 1 else None


def _qualified(name: str, names: Names) -> str | None:
    try:
        return names.step(name)[0]
    except UnknownName:
        return None


def _changed(item: Node, override: Override, names: Names, kind: type[StepSpec] | type[StrategySpec]) -> Node:
    """`item` with the override's value in it; one that names nothing stays, for the check to complain of."""
    name = _name_of(item)
    if name is None:
        return item
    try:
        spec = names.step(name.text)[1] if kind is StepSpec else names.strategy(name.text)[1]
    except UnknownName:
        return item
    first = first_field(spec.params) if spec.params is not None else None
    old = item.entries[0].value if isinstance(item, MappingNode) else None
    if override.param is not None:
        new = [Entry(override.param, override.value)]
    elif isinstance(override.value, MappingNode):
        new = override.value.entries
    elif first is not None:
        new = [Entry(ScalarNode(override.name.span, first, first), override.value)]
    else:
        return MappingNode(override.value.span, [Entry(name, override.value)], flow=True)
    kept: list[Entry] = []
    if isinstance(old, MappingNode):
        kept = old.entries
    elif old is not None and first is not None and not (isinstance(old, ScalarNode) and old.value is None):
        kept = [Entry(ScalarNode(name.span, first, first), old)]
    accepted = accepted_names(spec.params)
    replaced = {accepted.get(entry.key.text, entry.key.text) for entry in new}
    kept = [entry for entry in kept if accepted.get(entry.key.text, entry.key.text) not in replaced]
    given = MappingNode(override.value.span, [*kept, *new], flow=True)
    return MappingNode(item.span, [Entry(name, given)], flow=True)


def _report_missing(root: MappingNode, name: ScalarNode, names: Names, problems: Problems) -> None:
    have = list(dict.fromkeys(used for _, used in _steps(root)))
    close = difflib.get_close_matches(name.text, [*have, *TOP_LEVEL], n=1)
    if _qualified(name.text, names) is not None:
        message = f"the recipe has no step {name.text!r}"
        remedy = f"add it to the recipe, which has: {', '.join(have)}"
    else:
        message = f"the recipe has no step or key {name.text!r}"
        remedy = f"did you mean {close[0]!r}?" if close else f"it has: {', '.join(have)}"
        if name.text == "seed":
            remedy = "write strategy.seed=42"
    problems.add(name.span, "override", message, remedy)
