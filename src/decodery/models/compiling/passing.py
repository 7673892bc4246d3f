"""What passes over inductor's graphs are made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.fx import Graph, Node


def call(graph: Graph, target: Callable[..., Any], *args: Any, **kwargs: Any) -> Node:
    """A new node, with what inductor wants to know of its value."""
    node = graph.call_function(target, args, kwargs)
    given = [_values(arg) for arg in args]
    node.meta["val"] = target(*given, **kwargs)
    return node


def put_in_place_of(graph: Graph, node: Node, by: Node) -> None:
    """Whoever reads `node` reads `by`."""
    node.replace_all_uses_with(by)
    graph.erase_node(node)


def value_of(node: Any) -> Tensor:
    """The fake tensor that stands for it."""
    value: Tensor = node.meta["val"]
    return value


def _values(arg: Any) -> Any:
    if isinstance(arg, list):
        return [_values(each) for each in arg]
    return value_of(arg) if isinstance(arg, Node) else arg
