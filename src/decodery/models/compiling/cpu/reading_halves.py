"""A graph as dynamo traced it, whose linear layers read the halves of their weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch._guards import detect_fake_mode
from torch.fx import Graph, GraphModule, Node

from .halves import Half, half_of
from .rewriting import ROWS

LINEAR = (torch._C._nn.linear, torch.nn.functional.linear)


def reading_halves(traced: GraphModule, inputs: Sequence[Any]) -> tuple[GraphModule, list[int], list[Any]]:
    """`traced` with further inputs, the halves of the weights at these places among `inputs`, and fake tensors that
    stand for them. For products that `rewriting` makes sums of: a library's product would want float32 again."""
    weights = [node for node in traced.graph.nodes if node.op == "placeholder"]
    found: list[tuple[int, Half]] = []
    for place, (node, value) in enumerate(zip(weights, inputs, strict=True)):
        if isinstance(value, Tensor) and any(_few_rows(user, node) for user in node.users):
            half = half_of(value)
            if half is not None:
                found.append((place, half))
    fake = detect_fake_mode(list(inputs))
    if not found or fake is None:
        return traced, [], []
    copy, nodes = _copied(traced)
    last = nodes[weights[-1]]
    widened = []
    for place, half in found:
        with copy.graph.inserting_after(last):
            last = copy.graph.placeholder(f"half_{place}")
        last._dynamo_source = None  # type: ignore[attr-defined]
        widened.append((nodes[weights[place]], last, half.numbers.dtype))
    with copy.graph.inserting_after(last):
        for weight, half_node, _ in reversed(widened):
            wide = copy.graph.call_function(torch.ops.aten.to.dtype, (half_node, torch.float32))
            for user in list(weight.users):
                if _few_rows(user, weight):
                    user.update_arg(1, wide)
    copy.recompile()
    stand_ins = [fake.from_tensor(half.numbers, static_shapes=True) for _, half in found]
    return copy, [place for place, _ in found], stand_ins


def _copied(traced: GraphModule) -> tuple[GraphModule, dict[Node, Node]]:
    """Dynamo goes on reading the graph that it has made."""
    graph, nodes = Graph(), dict[Node, Node]()
    graph.output(graph.graph_copy(traced.graph, nodes))
    for old, new in nodes.items():
        if hasattr(old, "_dynamo_source"):
            new._dynamo_source = old._dynamo_source  # type: ignore[attr-defined]
    copy = GraphModule(traced, graph)
    copy.meta.update(traced.meta)
    if hasattr(traced, "_param_name_to_source"):
        copy._param_name_to_source = traced._param_name_to_source
    return copy, nodes


def _few_rows(user: Node, weight: Node) -> bool:
    """Whether it is a linear layer of few rows with this weight, in float32 altogether."""
    if (
        user.op != "call_function"
        or user.target not in LINEAR
        or len(user.args) < 2
        or user.args[1] is not weight
    ):
        return False
    x, made = _value(user.args[0]), _value(user)
    plain = x is not None and made is not None and {x.dtype, made.dtype} == {torch.float32}
    return plain and x.ndim > 1 and x.numel() // x.shape[-1] <= ROWS  # type: ignore[union-attr]


def _value(node: Any) -> Tensor | None:
    value = node.meta.get("example_value") if isinstance(node, Node) else None
    return value if isinstance(value, Tensor) else None
