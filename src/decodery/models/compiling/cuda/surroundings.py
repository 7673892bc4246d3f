"""What decoders do to a row before its products and to a product behind them, found in inductor's graph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch.fx import Node

from ..passing import value_of

aten: Any = torch.ops.aten
VIEWS = (aten.view.default, aten.reshape.default, aten._unsafe_view.default)
CONVERSION = torch.ops.prims.convert_element_type.default


@dataclass(frozen=True)
class Norm:
    """row (.., K) / sqrt(mean(row²) + epsilon) * gain (K,)."""

    row: Node | None = None
    gain: Node | None = None
    epsilon: float = 0.0


@dataclass(frozen=True)
class Gate:
    """silu(gate) * row, both (.., K)."""

    row: Node | None = None
    gate: Node | None = None


@dataclass(frozen=True)
class Added:
    """`node` is other + a product, both (.., N)."""

    node: Node | None = None
    other: Node | None = None


def norm_before(row: Node) -> Norm | None:
    """RMSNorm (Zhang and Sennrich 2019) as the models have it that scale in the row's dtype or in float32."""
    for gain, normed in _factors(unviewed(row)):
        for x, root in _factors(_unconverted(normed)):
            shifted = _of(root, aten.rsqrt.default)
            mean = _of(shifted, aten.add.Tensor)
            power = _of(mean, aten.mean.dim)
            squared = _unconverted(_of(power, aten.pow.Tensor_Scalar))
            source = _unconverted(x)
            if squared is None or squared is not source or gain.op not in ("placeholder", "get_attr"):
                continue
            over, exponent, epsilon = mean.args[1], power.args[1], shifted.args[1]
            known = (
                exponent == 2
                and list(over) in ([-1], [value_of(power).ndim - 1])
                and isinstance(epsilon, float)
            )
            if known and not shifted.kwargs and _like(row, source) and _long(row, gain):
                return Norm(source, gain, epsilon)
    return None


def gate_before(row: Node) -> Gate | None:
    """SwiGLU (Shazeer 2020)."""
    for opened, up in _factors(unviewed(row)):
        quotient = _unconverted(opened)
        whole = _of(quotient, aten.div.Tensor)
        below: Any = quotient.args[1] if whole is not None else None
        power = _of(below, aten.add.Tensor)
        same = _of(_of(power, aten.exp.default), aten.neg.default)
        if same is None or same is not whole or below.args[1] != 1 or below.kwargs:
            continue
        gate = _unconverted(same)
        if _like(row, gate) and _like(row, up):
            return Gate(up, gate)
    return None


def added_behind(product: Node) -> Added | None:
    """A sum that is all that is made of the product."""
    node = product
    while len(node.users) == 1:
        (user,) = node.users
        if user.target in VIEWS:
            node = user
            continue
        if user.target is not aten.add.Tensor or user.kwargs:
            return None
        left, right = user.args
        other = right if left is node else left
        if not isinstance(other, Node) or other is node:
            return None
        return Added(user, other) if _like(product, other) and _like(product, user) else None
    return None


def unviewed(node: Node) -> Node:
    """What the row is a view of: a (1, K) view of the same numbers is the same row."""
    while isinstance(source := node.args[0] if node.args else None, Node) and _is_view(node, source):
        node = source
    return node


def _is_view(node: Node, source: Node) -> bool:
    cut_nothing = node.target is aten.slice.Tensor and value_of(node).shape == value_of(source).shape
    return node.target in VIEWS or cut_nothing


def _unconverted(node: Any) -> Any:
    """What a node was before its dtype changed."""
    while isinstance(node, Node) and (node.target is CONVERSION or node.target in VIEWS):
        node = node.args[0]
    return node


def _factors(node: Any) -> list[tuple[Any, Any]]:
    """Those of a product of two tensors, both ways round."""
    if not isinstance(node, Node) or node.target is not aten.mul.Tensor:
        return []
    left, right = node.args[:2]
    return [(left, right), (right, left)] if isinstance(left, Node) and isinstance(right, Node) else []


def _of(node: Any, target: Any) -> Any:
    """The first argument of a node that `target` made; None of others."""
    made = isinstance(node, Node) and node.target is target
    return node.args[0] if made and isinstance(node.args[0], Node) else None


def _like(row: Node, other: Node) -> bool:
    """As many of the same dtype."""
    a, b = value_of(row), value_of(other)
    return a.dtype == b.dtype and a.numel() == b.numel()


def _long(row: Node, gain: Node) -> bool:
    value = value_of(gain)
    return value.shape == value_of(row).shape[-1:] and value.is_contiguous()
