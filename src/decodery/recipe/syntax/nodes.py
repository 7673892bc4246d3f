"""The nodes of a recipe's tree, each with its place, and how many there may be."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..report import Span
from .scalars import Ambiguity, Value

MAX_DEPTH = 24
MAX_NODES = 20_000


@dataclass(slots=True)
class Budget:
    """What has been read so far of a recipe and those that it extends: the limits are for all of them together."""

    bytes: int = 0
    nodes: int = 0


@dataclass(slots=True)
class ScalarNode:
    """`text` is the scalar's content, `value` what it means; a key's value is its text.

    `refused` marks a node that has been reported already, so that nobody complains about it twice.
    """

    span: Span
    text: str
    value: Value
    plain: bool = True
    ambiguous: Ambiguity | None = None
    refused: bool = False


@dataclass(slots=True)
class SequenceNode:
    span: Span
    items: list[Node] = field(default_factory=list)
    flow: bool = False
    refused: bool = False


@dataclass(slots=True)
class Entry:
    key: ScalarNode
    value: Node


@dataclass(slots=True)
class MappingNode:
    span: Span
    entries: list[Entry] = field(default_factory=list)
    flow: bool = False
    refused: bool = False

    def get(self, key: str) -> Entry | None:
        return next((entry for entry in self.entries if entry.key.text == key), None)


Node = ScalarNode | SequenceNode | MappingNode


def plain_data(node: Node) -> object:
    """The node as None, bool, int, float, str, list and dict. `MAX_DEPTH` bounds the recursion."""
    if isinstance(node, ScalarNode):
        return node.value
    if isinstance(node, SequenceNode):
        return [plain_data(item) for item in node.items]
    return {entry.key.text: plain_data(entry.value) for entry in node.entries}


def is_refused(node: Node) -> bool:
    """Something in the node was reported while parsing."""
    if isinstance(node, ScalarNode) or node.refused:
        return node.refused
    if isinstance(node, SequenceNode):
        return any(map(is_refused, node.items))
    return any(entry.key.refused or is_refused(entry.value) for entry in node.entries)
