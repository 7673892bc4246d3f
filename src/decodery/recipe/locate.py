"""What a params type says is wrong -> the place in the tree that it is wrong at."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from ..contracts.errors import InvalidParams, ParamProblem
from ..contracts.params import accepted_names, first_field
from .report import Problem
from .syntax.nodes import MappingNode, Node, ScalarNode, SequenceNode

_LONG = 200


@dataclass(frozen=True, slots=True)
class Where:
    """The step that is judged: its name, what it is given (a mapping, a lone value, nothing), its path."""

    name: ScalarNode
    given: Node | None
    params: type | None
    path: str


def located(error: InvalidParams, where: Where) -> Iterator[Problem]:
    """Each complaint at its place."""
    paths = {found.path for found in error.problems}
    # The places around a problem; a long path is somebody's key and around nothing.
    around = {
        path[:dot] for path in paths if len(path) < _LONG for dot, char in enumerate(path) if char == "."
    }
    reported: set[int] = set()
    for found in error.problems:
        # pydantic also complains of the list around a bad item ("at least 1 item, not 0"): noise.
        if found.path in around:
            continue
        node, steps = (
            _follow(where.given, found.path, where.params) if where.given is not None else (where.name, [])
        )
        # A union complains once a branch, the first will do; what is missing has no node to be remembered by.
        if not steps or id(node) not in reported:
            reported.add(id(node))
            yield _problem(found, where, node, steps)


def _follow(node: Node, dotted: str, params: type | None) -> tuple[Node, list[str]]:
    """The node that a path leads to, and the steps that lead there; further parts are pydantic's own."""
    steps: list[str] = []
    if not isinstance(node, MappingNode):
        # A lone value sets the first parameter; any other that is spoken of is not there.
        first, _, dotted = dotted.partition(".")
        if params is None or accepted_names(params).get(first) != first_field(params):
            return node, []
        steps.append(first)
    while dotted:
        index = dotted.partition(".")[0]
        if isinstance(node, MappingNode):
            whole = f"{dotted}."
            fitting = [entry for entry in node.entries if whole.startswith(f"{entry.key.text}.")]
            if not fitting:
                break
            entry = max(fitting, key=lambda entry: len(entry.key.text))
            steps.append(entry.key.text)
            dotted, node = dotted[len(entry.key.text) + 1 :], entry.value
        elif isinstance(node, SequenceNode) and index.isdecimal() and int(index) < len(node.items):
            steps[-1] += f"[{index}]"
            dotted, node = dotted[len(index) + 1 :], node.items[int(index)]
        else:
            break
    return node, steps


def _problem(found: ParamProblem, where: Where, node: Node, steps: list[str]) -> Problem:
    owner, path = where.name.text, where.path
    if not steps:
        return Problem.at(
            where.name.span, "missing-parameter", f"{owner}: {found.message}", found.remedy, path
        )
    entry = where.given.get(found.path) if isinstance(where.given, MappingNode) else None
    if entry is not None and found.message.startswith(("no parameter", "takes no parameter")):
        message = f"{owner} has no parameter {entry.key.text!r}"
        remedy = found.remedy or f"{owner} has no parameters at all"
        return Problem.at(entry.key.span, "unknown-parameter", message, remedy, path)
    inside = ".".join(steps)
    label = inside if inside == owner else f"{owner}: {inside}"
    if isinstance(node, ScalarNode) and node.ambiguous:
        message = f"{label} = {node.text}: YAML 1.1 reads this as {node.ambiguous.meaning}, YAML 1.2 does not"
        return Problem.at(node.span, "ambiguous", message, node.ambiguous.remedy, f"{path}.{inside}")
    what = found.message.removeprefix(f"{found.path} = ")
    message = f"{label} = {what}" if what != found.message else f"{label}: {what}"
    remedy = found.remedy
    if "valid string" in found.message and isinstance(node, ScalarNode) and node.plain:
        remedy = f"write {json.dumps(node.text, ensure_ascii=False)}, in quotes"
    return Problem.at(node.span, "bad-value", message, remedy, f"{path}.{inside}")
