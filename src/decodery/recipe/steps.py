"""A name and its parameters -> a validated step or strategy, or located problems.

The step's own params type is the judge; this file only finds the node that each of its complaints is about.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic

from ..contracts.errors import InvalidParams, UnknownName
from ..contracts.params import accepted_names, first_field
from ..contracts.steps import fill, lone_value
from .codes import Code
from .locate import Where, located
from .names import AlreadyTold, Lookup, S, colon_missing
from .report import Problem, Problems
from .syntax.nodes import Entry, MappingNode, Node, ScalarNode, SequenceNode, is_refused, plain_data

_UNKNOWN: dict[str, Code] = {"step": "unknown-step", "strategy": "unknown-strategy"}


@dataclass(frozen=True, slots=True)
class Use(Generic[S]):
    """A name as a recipe uses it, its parameters not yet checked. `given` is None where nothing is given."""

    name: ScalarNode
    given: Node | None
    qualified: str
    spec: S


def named(node: Node, what: str, path: str, lookup: Lookup[S], problems: Problems) -> Use[S] | None:
    """Read `eos`, `temperature: 0.7` or `top_p: {p: 0.9}`. None when that failed, which has been reported."""
    if isinstance(node, MappingNode) and len(node.entries) == 1:
        name, given = node.entries[0].key, without_null(node.entries[0].value)
    elif isinstance(node, ScalarNode) and isinstance(node.value, str):
        name, given = node, None
    else:
        if not is_refused(node):
            problems.put(_shape_problem(node, what, path))
        return None
    if name.refused:
        return None
    try:
        qualified, spec = lookup(name.text)
    except UnknownName as error:
        remedy = colon_missing(name.text, lookup) or error.remedy
        if not isinstance(error, AlreadyTold):
            problems.add(name.span, _UNKNOWN[what], error.message, remedy, path)
        return None
    return Use(name, given, qualified, spec)


def without_null(node: Node) -> Node | None:
    """`eos:` gives nothing."""
    empty = isinstance(node, ScalarNode) and node.value is None and not node.refused
    return None if empty else node


def validated(use: Use[S], path: str, problems: Problems) -> object | None:
    """The params object of `use`; None if it takes none, or when there are problems, which were added."""
    path = f"{path}.{use.name.text}"
    given = use.given
    values: dict[str, object] = {}
    if given is not None and is_refused(given):
        return None
    if isinstance(given, MappingNode):
        given = _without_doubles(use, given, path, problems)
        values = {entry.key.text: plain_data(entry.value) for entry in given.entries}
    elif given is not None:
        if use.spec.params is None or first_field(use.spec.params) is None:
            problems.add(
                given.span,
                "no-value",
                f"{use.name.text} takes no value",
                f"write {use.name.text!r} alone",
                path,
            )
            return None
        values = lone_value(use.spec, plain_data(given))
    try:
        return fill(use.spec, values)
    except InvalidParams as error:
        for problem in located(error, Where(use.name, given, use.spec.params, path)):
            problems.put(problem)
            if problems.full:
                break
        return None


def _without_doubles(use: Use[S], given: MappingNode, path: str, problems: Problems) -> MappingNode:
    accepted = accepted_names(use.spec.params)
    kept: dict[str, Entry] = {}
    for entry in given.entries:
        name = entry.key.text
        first = kept.setdefault(accepted.get(name, name), entry)
        if first is not entry:
            problems.add(
                entry.key.span,
                "duplicate-key",
                f"{name!r} and {first.key.text!r} are names of the same parameter",
                "keep one of them",
                path,
            )
    return MappingNode(given.span, list(kept.values()), given.flow)


def _shape_problem(node: Node, what: str, path: str) -> Problem:
    remedy = "write '- temperature: 0.7'" if what == "step" else "write 'strategy: sample'"
    if isinstance(node, MappingNode) and len(node.entries) > 1:
        first, second = node.entries[0], node.entries[1]
        message = f"one {what} has one name; here are {len(node.entries)}"
        if what == "step" and without_null(first.value) is not None:
            remedy = f"begin a new item with '-' for {second.key.text!r}"
        else:
            remedy = (
                f"indent {second.key.text!r} below {first.key.text!r}, or write {{{first.key.text}: {{...}}}}"
            )
        return Problem.at(second.key.span, "shape", message, remedy, path)
    is_there = {SequenceNode: "a list", MappingNode: "an empty mapping"}.get(type(node), "nothing")
    if isinstance(node, ScalarNode) and node.text:
        is_there = node.text
    return Problem.at(node.span, "shape", f"a {what}'s name belongs here, not {is_there}", remedy, path)
