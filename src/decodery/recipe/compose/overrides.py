"""`-o top_p=0.8`: changes from the command line, made in the tree before it is checked.

So they are checked like anything else, and a mistake in the n-th is located as `<command line>:n:column`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ..names import Names
from ..report import Problems, Source, Span
from ..syntax.nodes import MappingNode, Node, ScalarNode
from ..syntax.text import clean
from ..tree import parse
from .edits import Target, read_target, set_value

COMMAND_LINE = "<command line>"
_EXAMPLE = "write NAME=VALUE or NAME.PARAMETER=VALUE, for example top_p=0.8"
_LONGEST = 64 * 1024


@dataclass(frozen=True, slots=True)
class Override:
    """`target=value`."""

    target: Target
    value: Node


def read(texts: Sequence[str], problems: Problems) -> list[Override]:
    """The overrides, in order; those that cannot be read are reported and left out."""
    # An override is one line: a break inside it becomes one that `clean` refuses.
    source = Source(COMMAND_LINE, tuple(re.sub("[\r\n]", "\u2028", text) for text in texts))
    found = [_read_one(line, source, problems) for line in range(1, len(texts) + 1)]
    return [override for override in found if override is not None]


def apply(root: MappingNode, overrides: Sequence[Override], names: Names, problems: Problems) -> None:
    """Make the changes in `root`, one after another."""
    for override in overrides:
        if problems.full:
            return
        set_value(root, override.target, override.value, names, problems)


def _read_one(line: int, source: Source, problems: Problems) -> Override | None:
    before = len(problems)
    text = clean(source.line(line), source, problems, line)
    key, equals, value = text.partition("=")
    span = Span(source, line, 1, max(len(key), 1))
    target = read_target(key, span, "override") if len(text) <= _LONGEST else None
    if len(text) > _LONGEST:
        problems.add(
            Span(Source(COMMAND_LINE), line, 1, 1), "too-large", "the override is too long", _EXAMPLE
        )
    elif target is None or not equals:
        problems.add(span, "override", f"{text[:60]!r} is no override", _EXAMPLE)
    if len(problems) > before or target is None:
        return None
    node = _value(value, len(key) + 1, line, source, problems)
    return None if node is None else Override(target, node)


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
