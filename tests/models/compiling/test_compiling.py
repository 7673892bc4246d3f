"""What is compiled of a forward: sums in place of a library's products of few rows, one length for many texts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.fx import GraphModule
from torch.fx.experimental.proxy_tensor import make_fx

from decodery.models.compiling import compiled
from decodery.models.compiling.compiled import Compiled, as_compiled_for, room_for
from decodery.models.compiling.cpu.rewriting import REWRITTEN, ROWS, SumsForOneToken

CPU = torch.device("cpu")


def rewritten(call: Callable[..., Any], *given: Tensor) -> tuple[GraphModule, list[object]]:
    """The call traced and passed over, and which of the products are left in it."""
    with torch.no_grad():
        traced = make_fx(call, tracing_mode="fake")(*given)
    SumsForOneToken()(traced.graph)
    traced.graph.lint()
    traced.recompile()
    left = [node.target for node in traced.graph.nodes if node.target in REWRITTEN]
    return traced, left


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


@pytest.mark.parametrize("rows", [1, 2, ROWS])
@pytest.mark.parametrize("bias", [False, True])
def test_a_product_of_few_rows_becomes_a_sum(rows: int, bias: bool) -> None:
    x, weight = normal(rows, 1, 24), normal(40, 24, seed=1)
    given = [x, weight, normal(40, seed=2)] if bias else [x, weight]
    traced, left = rewritten(F.linear, *given)
    assert not left
    exact = F.linear(*(tensor.double() for tensor in given))
    torch.testing.assert_close(traced(*given).double(), exact, atol=2e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("x", "weight"),
    [
        (normal(ROWS + 1, 24), normal(40, 24)),
        (normal(1, 24), normal(24, 40).t()),  # (K, N) in memory, as GPT-2 keeps it
        (normal(1, 24, dtype=torch.bfloat16), normal(40, 24, dtype=torch.bfloat16)),
        (normal(1, 24, dtype=torch.float64), normal(40, 24, dtype=torch.float64)),
    ],
)
def test_other_products_stay(x: Tensor, weight: Tensor) -> None:
    traced, left = rewritten(F.linear, x, weight)
    assert left == [torch.ops.aten.mm.default]
    assert torch.equal(traced(x, weight), F.linear(x, weight))


def test_a_bias_that_is_scaled_stays() -> None:
    def scaled(bias: Tensor, x: Tensor, weight: Tensor) -> Tensor:
        return torch.addmm(bias, x, weight.t(), beta=0.5)

    given = normal(40), normal(1, 24), normal(40, 24)
    traced, left = rewritten(scaled, *given)
    assert left == [torch.ops.aten.addmm.default]
    assert torch.equal(traced(*given), scaled(*given))


@pytest.mark.parametrize("scale", [None, 0.3])
@pytest.mark.parametrize("mask", [None, "bool", "float"])
@pytest.mark.parametrize("batch", [1, 3])
def test_attention_of_one_query_becomes_sums(batch: int, mask: str | None, scale: float | None) -> None:
    q, k, v = normal(batch, 2, 1, 8), normal(batch, 2, 20, 8, seed=1), normal(batch, 2, 20, 8, seed=2)
    seen = normal(batch, 1, 1, 20, seed=3) > 0
    seen[0, ..., :] = torch.arange(20) < 11
    bans = {None: None, "bool": seen, "float": normal(batch, 1, 1, 20, seed=4)}[mask]

    def attend(*given: Tensor) -> Tensor:
        mixed = F.scaled_dot_product_attention(*given, scale=scale)
        return mixed.transpose(1, 2).reshape(batch, 1, 16)

    given = (q, k, v) if bans is None else (q, k, v, bans)
    traced, left = rewritten(attend, *given)
    assert not left
    doubles = [tensor.double() if tensor.is_floating_point() else tensor for tensor in given]
    torch.testing.assert_close(traced(*given).double(), attend(*doubles), atol=1e-5, rtol=1e-5)


def test_a_query_that_may_see_nothing_gets_what_torch_gives_it() -> None:
    q, k, v = normal(1, 2, 1, 8), normal(1, 2, 5, 8, seed=1), normal(1, 2, 5, 8, seed=2)
    bans = torch.zeros(1, 1, 1, 5, dtype=torch.bool)

    def attend(q: Tensor, k: Tensor, v: Tensor, bans: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(q, k, v, attn_mask=bans)

    traced, left = rewritten(attend, q, k, v, bans)
    assert not left
    assert torch.equal(traced(q, k, v, bans), attend(q, k, v, bans))


@pytest.mark.parametrize("queries", [1, 2])
def test_other_attention_stays(queries: int) -> None:
    """A causal query, which sees the first position alone, and several."""
    q, k, v = normal(1, 2, queries, 8), normal(1, 2, 5, 8, seed=1), normal(1, 2, 5, 8, seed=2)

    def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(q, k, v, is_causal=queries == 1)

    traced, left = rewritten(attend, q, k, v)
    assert len(left) == 1
    assert torch.equal(traced(q, k, v), attend(q, k, v))


def test_lengths_share_a_room() -> None:
    rooms = [room_for(length) for length in range(1, 5000)]
    assert all(room >= length for length, room in enumerate(rooms, start=1))
    assert sorted(set(rooms)) == [128, 256, 512, 1024, 2048, 3072, 4096, 5120]
    assert room_for(300, most=400) == 400
    assert room_for(300, most=300) == 300


def test_a_slice_of_a_text_lies_like_a_tensor_of_its_own() -> None:
    text = torch.arange(12).view(3, 4)
    assert as_compiled_for(text) is text
    for part in (text[:, -1:], text[:1, -1:]):
        assert as_compiled_for(part).stride() == (1, 1)
        assert torch.equal(as_compiled_for(part), part)


@pytest.mark.slow  # a C++ compiler runs
@pytest.mark.parametrize("rows", [1, 3])
def test_a_compiled_layer_calls_no_library_for_its_products(rows: int) -> None:
    from torch._inductor.utils import fresh_cache, run_and_get_code

    torch.manual_seed(0)
    layer, other = nn.Sequential(nn.Linear(64, 96), nn.SiLU(), nn.Linear(96, 64)), normal(rows, 1, 64)
    torch.compiler.reset()
    compiled = Compiled(layer, CPU)
    with torch.no_grad(), fresh_cache():
        found, code = run_and_get_code(compiled, other)
        torch.testing.assert_close(found, layer(other), atol=1e-5, rtol=1e-5)
    assert "cpp_fused" in code[0]
    assert "mm(" not in code[0]
    # Weights are read in each call, not kept.
    layer[0].weight.data.mul_(2)
    layer[2].weight = nn.Parameter(normal(64, 96, seed=5))
    with torch.no_grad():
        torch.testing.assert_close(compiled(other), layer(other), atol=1e-5, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("own_limit", [True, False])
def test_more_shapes_than_torch_would_compile_for_are_compiled(
    own_limit: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torch._dynamo.utils import counters

    if own_limit and not compiled._OWN_LIMIT:
        pytest.skip("this torch has one limit for all")
    monkeypatch.setattr(compiled, "_OWN_LIMIT", own_limit)
    torch._dynamo.reset()
    counters.clear()
    doubled = Compiled(lambda x: x * 2, torch.device("meta"))
    for rows in range(1, 12):
        doubled(torch.ones(rows, 1))
    assert counters["stats"]["unique_graphs"] == 11
