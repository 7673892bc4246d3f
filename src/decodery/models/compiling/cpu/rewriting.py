"""One token a row on a CPU: products of few rows with a matrix, and attention of one query, as plain sums.

A library's matrix product reads the weights of a single row at a fraction of what memory gives (MKL on an AMD
processor: a fifth). Written as a product and a sum it is a loop that torch.compile generates itself, in float32
like the library's.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch._inductor.custom_graph_pass import CustomGraphPass, get_hash_for_files
from torch.fx import Graph, Node

from ..passing import call, put_in_place_of, value_of

ROWS = 4
"""Rows up to which a product is rewritten: of more the sums cost more than the reading."""

aten: Any = torch.ops.aten


class SumsForOneToken(CustomGraphPass):
    """A pass over inductor's graph after its own; what it does not know stays as it is."""

    def __call__(self, graph: Graph) -> None:
        for node in list(graph.nodes):
            written = REWRITTEN.get(node.target) if node.op == "call_function" else None
            if written is not None:
                with graph.inserting_before(node):
                    written(graph, node)

    def uuid(self) -> object:
        """What inductor's cache on disk knows this pass by."""
        return get_hash_for_files((__file__,))


def _mm(graph: Graph, node: Node) -> None:
    """mm(x (M, K), w (K, N)) -> (M, N)."""
    x, weight = node.args[:2]
    if _few_rows(x, weight):
        put_in_place_of(graph, node, _product(graph, x, weight))


def _addmm(graph: Graph, node: Node) -> None:
    """addmm(bias, x (M, K), w (K, N)) -> (M, N)."""
    bias, x, weight = node.args[:3]
    if not node.kwargs and _few_rows(x, weight):
        put_in_place_of(graph, node, call(graph, aten.add.Tensor, _product(graph, x, weight), bias))


def _product(graph: Graph, x: Any, weight: Any) -> Node:
    rows = _in_memory(graph, x)
    columns = call(graph, aten.permute.default, weight, [1, 0])  # (K, N) -> (N, K)
    if value_of(x).shape[0] == 1:
        sums = call(graph, aten.sum.dim_IntList, call(graph, aten.mul.Tensor, columns, rows), [1])
        return call(graph, aten.unsqueeze.default, sums, 0)  # (N,) -> (1, N)
    # Each column of the weights is read once, for all rows.
    columns = call(graph, aten.unsqueeze.default, columns, 1)  # (N, K) -> (N, 1, K)
    sums = call(graph, aten.sum.dim_IntList, call(graph, aten.mul.Tensor, columns, rows), [2])
    return call(graph, aten.permute.default, sums, [1, 0])  # (N, M) -> (M, N)


def _attention(graph: Graph, node: Node) -> None:
    """Of q (B, H, 1, D), k and v (B, H, S, D), and a mask that broadcasts to (B, H, 1, S) -> (B, H, 1, D)."""
    q, k, v = node.args[:3]
    further = dict(zip(("dropout_p", "is_causal"), node.args[3:], strict=False)) | dict(node.kwargs)
    others = [user for user in node.users if user.target is not operator.getitem or user.args[1] != 0]
    if (
        any(user.users for user in others)
        or further.get("is_causal")
        or further.get("dropout_p")
        or not _one_query(q, k, v)
    ):
        return
    scale = further.get("scale") or 1 / math.sqrt(value_of(q).shape[-1])
    q = _in_memory(graph, call(graph, aten.mul.Tensor, q, scale))
    scores = call(graph, aten.sum.dim_IntList, call(graph, aten.mul.Tensor, k, q), [3])  # -> (B, H, S)
    mask = further.get("attn_mask")
    if mask is not None:
        scores = call(graph, aten.add.Tensor, scores, call(graph, aten.squeeze.dim, mask, -2))
    weights = _in_memory(graph, _softmax(graph, _in_memory(graph, scores)))
    weights = call(graph, aten.unsqueeze.default, weights, 3)  # (B, H, S) -> (B, H, S, 1)
    mixed = call(graph, aten.sum.dim_IntList, call(graph, aten.mul.Tensor, v, weights), [2])  # -> (B, H, D)
    mixed = call(graph, aten.unsqueeze.default, mixed, 2)  # (B, H, D) -> (B, H, 1, D)
    for user in list(node.users):
        put_in_place_of(graph, user, mixed)  # the sums for a backward pass, which nobody uses, are among them
    graph.erase_node(node)


def _softmax(graph: Graph, scores: Node) -> Node:
    """(B, H, S) -> (B, H, S); zeros where all are banned, as torch's attention has it."""
    most = call(graph, aten.amax.default, scores, [-1], True)
    most = call(graph, aten.clamp_min.default, most, torch.finfo(torch.float32).min)
    powers = call(graph, aten.exp.default, call(graph, aten.sub.Tensor, scores, most))
    total = call(graph, aten.sum.dim_IntList, powers, [-1], True)
    total = call(graph, aten.clamp_min.default, total, torch.finfo(torch.float32).tiny)
    return call(graph, aten.div.Tensor, powers, total)


def _few_rows(x: Any, weight: Any) -> bool:
    a, b = value_of(x), value_of(weight)
    rows = a.shape[0]
    # Of weights (K, N) with N innermost a library reads whole rows, and is fast.
    return _plain(a, b) and isinstance(rows, int) and rows <= ROWS and b.stride(0) == 1


def _one_query(q: Any, k: Any, v: Any) -> bool:
    a, b, c = value_of(q), value_of(k), value_of(v)
    return _plain(a, b, c) and a.shape[2] == 1 and a.shape[:2] == b.shape[:2] and b.shape == c.shape


def _plain(*values: Tensor) -> bool:
    return all(value.dtype == torch.float32 and value.device.type == "cpu" for value in values)


def _in_memory(graph: Graph, node: Node) -> Node:
    """Computed once. Inductor would compute it again for each sum that reads it."""
    copy = call(graph, aten.clone.default, node, memory_format=torch.contiguous_format)
    value = value_of(copy)
    return call(graph, aten.as_strided.default, copy, list(value.shape), list(value.stride()))


REWRITTEN: dict[object, Callable[[Graph, Node], None]] = {
    aten.mm.default: _mm,
    aten.addmm.default: _addmm,
    aten._scaled_dot_product_flash_attention_for_cpu.default: _attention,
}
