"""Attention of one query a row, found in inductor's graph, goes through `one_query`, with keys that heads share."""

from __future__ import annotations

import math
import operator
from typing import Any

import torch
from torch.fx import Graph, Node

from ..passing import call, put_in_place_of, value_of
from . import one_query
from .products import DTYPES

aten: Any = torch.ops.aten
WIDEST = 256
"""A head's width that fits a program's registers."""
KNOWN = (
    aten._scaled_dot_product_cudnn_attention.default,
    aten._scaled_dot_product_efficient_attention.default,
    aten._scaled_dot_product_flash_attention.default,
)


def rewrite(graph: Graph) -> None:
    """Whichever of its kernels torch has chosen."""
    for node in list(graph.nodes):
        if node.target in KNOWN:
            _rewrite(graph, node)


def _rewrite(graph: Graph, node: Any) -> None:
    """Of q (B, H, 1, D), k and v (B, H, S, D), and a mask that broadcasts to (B, H, 1, S) -> (B, H, 1, D)."""
    names = [argument.name for argument in node.target._schema.arguments]
    given = dict(zip(names, node.args, strict=False)) | dict(node.kwargs)
    query, key, value = (_shared(given[name]) for name in ("query", "key", "value"))
    others = [user for user in node.users if user.target is not operator.getitem or user.args[1] != 0]
    if (
        any(user.users for user in others)
        or given.get("is_causal")
        or given.get("dropout_p")
        or not _one_query(query, key, value)
    ):
        return
    with graph.inserting_before(node):
        scale = given.get("scale") or 1 / math.sqrt(value_of(query).shape[-1])
        mask = _bans(given.get("attn_bias"))
        found = call(graph, one_query.OPERATION, query, key, value, mask, scale)
    for user in list(node.users):
        put_in_place_of(graph, user, found)  # the sums for a backward pass, which nobody uses, are among them
    graph.erase_node(node)


def _shared(node: Any) -> Any:
    """Keys (B, G, S, D) that (B, H, S, D) repeats for the heads of a group; others as they are."""
    chain = []
    source = node
    for target in (aten.reshape.default, aten.clone.default, aten.expand.default, aten.unsqueeze.default):
        if source.target is not target:
            return node
        chain.append(source)
        source = source.args[0]
    before, whole = value_of(source), value_of(node)
    repeated = chain[-1].args[1] == 2 and before.ndim == 4 and whole.ndim == 4
    rows, groups, length, width = before.shape if repeated else (0, 0, 0, 0)
    same = repeated and whole.shape[0] == rows and whole.shape[2:] == (length, width)
    return source if same and list(value_of(chain[-2]).shape[:2]) == [rows, groups] else node


def _bans(mask: Any) -> Any:
    """A mask that adds nothing or bans, as the bool that it was made of, which all layers share."""
    if not isinstance(mask, Node) or mask.target is not aten.where.self:
        return mask
    allowed, *filled = mask.args
    nodes = [each for each in filled if isinstance(each, Node) and each.target is aten.full.default]
    if len(nodes) < 2:
        return mask
    values: list[Any] = [each.args[1] for each in nodes]
    plain = values[0] == 0 and values[1] < one_query.BANNED.value
    return allowed if plain and value_of(allowed).dtype == torch.bool else mask


def _one_query(query: Any, key: Any, value: Any) -> bool:
    q, k, v = value_of(query), value_of(key), value_of(value)
    fits = q.shape[2] == 1 and k.shape == v.shape and q.shape[0] == k.shape[0] and q.shape[3] == k.shape[3]
    plain = q.dtype in DTYPES and q.dtype == k.dtype == v.dtype and q.shape[1] % k.shape[1] == 0
    return fits and plain and q.shape[3] <= WIDEST and all(each.stride(-1) == 1 for each in (q, k, v))
