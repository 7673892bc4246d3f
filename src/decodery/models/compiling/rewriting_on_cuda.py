"""One token of one row on a CUDA device: its products with weights go through `one_row`, those of one row in one."""

from __future__ import annotations

from collections import defaultdict
from itertools import accumulate
from typing import Any

import torch
from torch._inductor.custom_graph_pass import CustomGraphPass, get_hash_for_files
from torch.fx import Graph, Node

from . import one_row
from .passing import call, put_in_place_of, value_of

aten: Any = torch.ops.aten
DTYPES = (torch.float32, torch.bfloat16, torch.float16)


class OneRowProducts(CustomGraphPass):
    """A pass over inductor's graph after its own; what it does not know stays as it is."""

    def __call__(self, graph: Graph) -> None:
        alike: dict[Node, list[tuple[Node, Node]]] = defaultdict(list)
        for node in graph.nodes:
            found = _product(node)
            if found is not None:
                row, weights = found
                alike[_viewed(row)].append((node, weights))
        for products in alike.values():
            for begin in range(0, len(products), one_row.MOST):
                _together(graph, products[begin : begin + one_row.MOST])

    def uuid(self) -> object:
        """What inductor's cache on disk knows this pass by."""
        return get_hash_for_files((__file__, one_row.__file__))


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


def _viewed(row: Node) -> Node:
    """What the row is a view of: a (1, K) view of the same numbers is the same row."""
    while row.target in (aten.view.default, aten.reshape.default, aten._unsafe_view.default):
        source = row.args[0]
        if not isinstance(source, Node):
            break
        row = source
    return row


def _together(graph: Graph, products: list[tuple[Node, Node]]) -> None:
    """Products of one row, at the place of the first of them, which are in the graph's order."""
    with graph.inserting_before(products[0][0]):
        row = products[0][0].args[0]
        weights = [weights for _, weights in products]
        whole = call(graph, torch.ops.decodery.one_row_products.default, row, weights)
        ends = list(accumulate(len(value_of(weight)) for weight in weights))
        begins = [0, *ends[:-1]]
        parts = [call(graph, aten.slice.Tensor, whole, 1, *span) for span in zip(begins, ends, strict=True)]
    for (node, _), part in zip(products, parts, strict=True):
        put_in_place_of(graph, node, part)
