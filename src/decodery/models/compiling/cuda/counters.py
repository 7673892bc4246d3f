"""Counters, of which a cache has one a layer, go up in one launch for all."""

from __future__ import annotations

import operator
from collections import defaultdict
from typing import Any

import torch
from torch.fx import Graph, Node

from ..passing import call, put_in_place_of, value_of

aten: Any = torch.ops.aten


def rewrite(graph: Graph) -> None:
    """counter.copy_(counter + n) of single numbers."""
    alike: dict[tuple[Any, ...], list[Node]] = defaultdict(list)
    for node in graph.nodes:
        counted = _counted(node)
        if counted is not None:
            counter, more = counted.args
            value = value_of(counter)
            alike[more, value.dtype, value.device].append(counted)
    for (more, *_), sums in alike.items():
        if len(sums) < 2:
            continue
        with graph.inserting_before(sums[0]):
            whole = call(graph, aten._foreach_add.Scalar, [each.args[0] for each in sums], more)
            parts = [call(graph, operator.getitem, whole, place) for place in range(len(sums))]
        for each, part in zip(sums, parts, strict=True):
            put_in_place_of(graph, each, part)


def _counted(node: Node) -> Node | None:
    """counter + n, where the node writes it back."""
    if node.target is not aten.copy_.default:
        return None
    counter, more = node.args[:2]
    if not isinstance(counter, Node) or counter.op != "placeholder" or value_of(counter).numel() != 1:
        return None
    if not isinstance(more, Node) or more.target is not aten.add.Tensor or more.kwargs:
        return None
    return more if more.args[0] is counter and isinstance(more.args[1], int) else None
