"""What stands around a product in a decoder's graph is found where it is what it looks like, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._inductor.decomposition import decompositions
from torch.fx import Graph, Node
from torch.fx.experimental.proxy_tensor import make_fx
from transformers.models.gemma.modeling_gemma import GemmaRMSNorm
from transformers.models.llama.modeling_llama import LlamaRMSNorm
from transformers.models.qwen3.modeling_qwen3 import Qwen3RMSNorm

from decodery.models.compiling.cuda.surroundings import added_behind, gate_before, norm_before, unviewed

aten: Any = torch.ops.aten
DTYPES = (torch.float32, torch.bfloat16)


def graph_of(function: Callable[..., Any], *given: Tensor) -> Graph:
    """As inductor's passes see it: what is not given is a parameter, which they find from the start."""
    with torch.no_grad():
        return make_fx(function, decomposition_table=decompositions, tracing_mode="fake")(*given).graph


def products(graph: Graph) -> list[Node]:
    return [node for node in graph.nodes if node.target is aten.mm.default]


def row(product: Node) -> Node:
    found = product.args[0]
    assert isinstance(found, Node)
    return found


def names(*nodes: Node | None) -> list[str]:
    return ["" if node is None else str(unviewed(node).target) for node in nodes]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", [LlamaRMSNorm, Qwen3RMSNorm])
def test_the_norms_of_transformers_are_found(kind: Any, dtype: torch.dtype) -> None:
    norm = kind(64, eps=1e-5).to(dtype)

    def forward(x: Tensor, gain: Tensor, weight: Tensor) -> Any:
        return torch.func.functional_call(norm, {"weight": gain}, (x,)) @ weight.t()

    graph = graph_of(forward, *(torch.randn(shape, dtype=dtype) for shape in ((1, 1, 64), (64,), (8, 64))))
    (product,) = products(graph)
    found = norm_before(row(product))
    assert found is not None
    assert names(found.row, found.gain) == ["x_1", "gain_1"]
    assert found.epsilon == 1e-5
    assert gate_before(row(product)) is None


def gemma(x: Tensor, gain: Tensor) -> Any:
    return torch.func.functional_call(GemmaRMSNorm(64), {"weight": gain}, (x,))


def of_another(x: Tensor, gain: Tensor) -> Any:
    return gain * (x * torch.rsqrt((x + 1).pow(2).mean(-1, keepdim=True) + 1e-6))


def cubed(x: Tensor, gain: Tensor) -> Any:
    return gain * (x * torch.rsqrt(x.pow(3).mean(-1, keepdim=True) + 1e-6))


def doubled_shift(x: Tensor, gain: Tensor) -> Any:
    return gain * (x * torch.rsqrt(torch.add(x.pow(2).mean(-1, keepdim=True), 1e-6, alpha=2)))


def layer(x: Tensor, gain: Tensor) -> Any:
    return nn.functional.layer_norm(x, (64,), gain)


@pytest.mark.parametrize("other", [gemma, of_another, cubed, doubled_shift, layer])
def test_other_norms_are_left_alone(other: Callable[..., Any]) -> None:
    def forward(x: Tensor, gain: Tensor, weight: Tensor) -> Any:
        return other(x, gain) @ weight.t()

    graph = graph_of(forward, torch.randn(1, 1, 64), torch.randn(64), torch.randn(8, 64))
    assert [norm_before(row(product)) for product in products(graph)] == [None]


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_gate_is_found(dtype: torch.dtype) -> None:
    def forward(x: Tensor, gate: Tensor, up: Tensor, down: Tensor) -> Any:
        return (nn.functional.silu(x @ gate.t()) * (x @ up.t())) @ down.t()

    shapes = ((1, 1, 64), (96, 64), (96, 64), (64, 96))
    graph = graph_of(forward, *(torch.randn(shape, dtype=dtype) for shape in shapes))
    gate, up, down = products(graph)
    found = gate_before(row(down))
    assert found is not None
    assert found.gate is not None
    assert found.row is not None
    assert (unviewed(found.gate), unviewed(found.row)) == (gate, up)
    assert norm_before(row(down)) is None


@pytest.mark.parametrize("activation", ["gelu", "relu", "tanh", "sigmoid"])
def test_other_gates_are_left_alone(activation: str) -> None:
    def forward(x: Tensor, up: Tensor, down: Tensor) -> Any:
        return (getattr(torch.nn.functional, activation)(x) * up) @ down.t()

    graph = graph_of(forward, torch.randn(1, 96), torch.randn(1, 96), torch.randn(64, 96))
    assert [gate_before(row(product)) for product in products(graph)] == [None]


def test_a_residual_stream_is_found() -> None:
    def forward(stream: Tensor, x: Tensor, weight: Tensor) -> Any:
        return stream + (x @ weight.t())

    graph = graph_of(forward, torch.randn(1, 1, 64), torch.randn(1, 1, 32), torch.randn(64, 32))
    (product,) = products(graph)
    found = added_behind(product)
    assert found is not None
    assert names(found.other) == ["stream_1"]


def told_twice(stream: Tensor, product: Tensor) -> Any:
    return stream + product, product


def scaled(stream: Tensor, product: Tensor) -> Any:
    return torch.add(stream, product, alpha=2)


def wider(stream: Tensor, product: Tensor) -> Any:
    return stream.expand(2, 1, 64) + product


def converted(stream: Tensor, product: Tensor) -> Any:
    return stream.double() + product


def with_itself(stream: Tensor, product: Tensor) -> Any:
    return product + product


@pytest.mark.parametrize("sum_of", [told_twice, scaled, wider, converted, with_itself])
def test_other_sums_are_left_alone(sum_of: Callable[..., Any]) -> None:
    def forward(stream: Tensor, x: Tensor, weight: Tensor) -> Any:
        return sum_of(stream, x @ weight.t())

    graph = graph_of(forward, torch.randn(1, 1, 64), torch.randn(1, 1, 32), torch.randn(64, 32))
    assert [added_behind(product) for product in products(graph)] == [None]
