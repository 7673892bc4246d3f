"""Products of one row with weights, found in inductor's graph, go through `one_row` with what stands around them."""

from __future__ import annotations

from collections import defaultdict
from itertools import accumulate
from typing import Any

import torch
from torch.fx import Graph, Node

from ..passing import call, put_in_place_of, value_of
from . import one_row
from .surroundings import Added, Gate, Norm, added_behind, gate_before, norm_before, unviewed

aten: Any = torch.ops.aten
DTYPES = (torch.float32, torch.bfloat16, torch.float16)


def rewrite(graph: Graph) -> None:
    """Those of the same row together."""
    alike: dict[Node, list[tuple[Node, Node]]] = defaultdict(list)
    for node in graph.nodes:
        found = _product(node)
        if found is not None:
            row, weights = found
            alike[unviewed(row)].append((node, weights))
    for products in alike.values():
        for begin in range(0, len(products), one_row.MOST):
            _together(graph, products[begin : begin + one_row.MOST])


def _product(node: Node) -> tuple[Node, Node] | None:
    """mm(x (1, K), w (N, K) turned) -> x and w, where w lies dense and is there from the start."""
    if node.op != "call_function" or node.target is not aten.mm.default:
        return None
    row, turned = node.args[:2]
    if not isinstance(row, Node) or not isinstance(turned, Node) or turned.target is not aten.permute.default:
        return None
    weights = turned.args[0]
    if not isinstance(weights, Node) or weights.op not in ("placeholder", "get_attr"):
        return None
    x, w = value_of(row), value_of(weights)
    plain = x.device.type == "cuda" and x.dtype == w.dtype and x.dtype in DTYPES
    dense = turned.args[1] == [1, 0] and w.ndim == 2 and w.is_contiguous() and w.numel() < 2**31
    return (row, weights) if plain and dense and x.shape[0] == 1 else None


def _together(graph: Graph, products: list[tuple[Node, Node]]) -> None:
    """Products of one row, at the place of the first of them, which are in the graph's order."""
    first = products[0][0]
    row = first.args[0]
    assert isinstance(row, Node)
    norm, gate = norm_before(row) or Norm(), gate_before(row) or Gate()
    added = (added_behind(first) if len(products) == 1 else None) or Added()
    with graph.inserting_before(added.node or first):

        def as_row(node: Node | None) -> Node | None:
            """(.., K) -> (1, K)."""
            return None if node is None else call(graph, aten.reshape.default, node, [1, -1])

        whole = call(
            graph,
            one_row.OPERATION,
            as_row(norm.row or gate.row or row),
            [weights for _, weights in products],
            as_row(gate.gate),
            norm.gain,
            norm.epsilon,
            as_row(added.other),
        )
        if added.node is not None:
            shape = list(value_of(added.node).shape)
            put_in_place_of(graph, added.node, call(graph, aten.reshape.default, whole, shape))
            return
        ends = list(accumulate(len(value_of(weight)) for _, weight in products))
        begins = [0, *ends[:-1]]
        parts = [call(graph, aten.slice.Tensor, whole, 1, *span) for span in zip(begins, ends, strict=True)]
    for (node, _), part in zip(products, parts, strict=True):
        put_in_place_of(graph, node, part)
