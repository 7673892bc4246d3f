"""Products of one row on a CUDA device: what a compiled forward makes of them, and what they come to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from decodery.models.compiling.compiled import Compiled

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
ROUNDING = {torch.float32: 2e-5, torch.bfloat16: 8e-3, torch.float16: 1e-3}


@pytest.mark.parametrize("dtype", ROUNDING)
@pytest.mark.parametrize("counts", [(1,), (512, 128, 128), (7, 1, 1000)])
@pytest.mark.parametrize("length", [1, 33, 2048, 8192])
def test_products_of_one_row_are_those_of_doubles(
    dtype: torch.dtype, counts: tuple[int, ...], length: int
) -> None:
    from decodery.models.compiling.cuda.one_row import one_row_products

    row = torch.randn(1, length, device="cuda", dtype=dtype)
    weights = [torch.randn(count, length, device="cuda", dtype=dtype) / length**0.5 for count in counts]
    exact = torch.cat([row.double() @ weight.double().t() for weight in weights], dim=1)
    found = one_row_products(row, weights)
    assert found.dtype == dtype
    torch.testing.assert_close(found.double(), exact, atol=ROUNDING[dtype], rtol=ROUNDING[dtype])


@pytest.mark.parametrize("dtype", ROUNDING)
@pytest.mark.parametrize("length", [33, 2048, 5000])
@pytest.mark.parametrize("around", ["gate", "norm", "added", "norm added", "gate added"])
def test_what_stands_around_a_product_is_done_with_it(dtype: torch.dtype, length: int, around: str) -> None:
    from decodery.models.compiling.cuda.one_row import one_row_products

    def random(*shape: int) -> Tensor:
        return torch.randn(shape, device="cuda", dtype=dtype)

    row, weight, given = random(1, length), random(333, length) / length**0.5, {}
    factors = row.double()
    if "gate" in around:
        given["gate"] = random(1, length)
        factors = factors * nn.functional.silu(given["gate"].double())
    if "norm" in around:
        given["gain"] = random(length)
        factors = nn.functional.rms_norm(factors, (length,), given["gain"].double(), 1e-5)
    exact = factors @ weight.double().t()
    if "added" in around:
        given["added"] = random(1, 333)
        exact = exact + given["added"].double()
    epsilon = {"epsilon": 1e-5} if "norm" in around else {}
    found = one_row_products(row, [weight], **given, **epsilon)
    torch.testing.assert_close(found.double(), exact, atol=2 * ROUNDING[dtype], rtol=2 * ROUNDING[dtype])


@pytest.mark.parametrize(
    ("dtype", "rows", "heads", "groups", "width", "length", "masked"),
    [
        (torch.bfloat16, 1, 32, 8, 64, 1000, ""),
        (torch.bfloat16, 1, 32, 8, 64, 1000, "bool"),
        (torch.bfloat16, 2, 8, 8, 80, 100, "added"),
        (torch.bfloat16, 1, 32, 8, 64, 1000, "for each head"),
        (torch.bfloat16, 64, 4, 1, 256, 70, "behind the text"),
        (torch.float16, 3, 12, 2, 128, 1, "bool"),
        (torch.float16, 1, 4, 4, 64, 4096, "behind the text"),
        (torch.float32, 2, 8, 2, 64, 300, "added"),
        (torch.float32, 1, 4, 1, 256, 70, "bool"),
    ],
)
def test_attention_of_one_query_is_that_of_doubles(
    dtype: torch.dtype, rows: int, heads: int, groups: int, width: int, length: int, masked: str
) -> None:
    from decodery.models.compiling.cuda.one_query import one_query_attention

    query = torch.randn(rows, 1, heads, width, device="cuda", dtype=dtype).transpose(1, 2)
    key, value = torch.randn(2, rows, groups, length, width, device="cuda", dtype=dtype)
    mask: Tensor | None = None
    if masked == "bool":
        mask = torch.rand(rows, 1, 1, length, device="cuda") < 0.7
        mask[..., 0] = True
    elif masked == "behind the text":
        mask = torch.zeros(rows, 1, 1, length, device="cuda", dtype=dtype)
        mask[..., length // 3 + 1 :] = torch.finfo(dtype).min
    elif masked:
        mask = torch.randn(
            1, heads if masked == "for each head" else 1, 1, length, device="cuda", dtype=dtype
        )
    exact = nn.functional.scaled_dot_product_attention(
        query.double(),
        key.double().repeat_interleave(heads // groups, 1),
        value.double().repeat_interleave(heads // groups, 1),
        attn_mask=mask.double() if mask is not None and mask.is_floating_point() else mask,
    )
    found = one_query_attention(query, key, value, mask, width**-0.5)
    torch.testing.assert_close(found.double(), exact, atol=2 * ROUNDING[dtype], rtol=2 * ROUNDING[dtype])


def test_a_row_that_may_look_at_nothing_gets_zeros() -> None:
    from decodery.models.compiling.cuda.one_query import one_query_attention

    key = torch.randn(2, 4, 300, 64, device="cuda")
    mask = torch.zeros(2, 1, 1, 300, device="cuda", dtype=torch.bool)
    mask[0] = True
    found = one_query_attention(key[:, :, :1], key, key, mask, 0.125)
    assert found[0].abs().sum() > 0
    assert found[1].abs().sum() == 0


class Mixed(nn.Module):
    """Query, key and value of one row, a product with a bias, one whose weights lie the other way."""

    def __init__(self) -> None:
        super().__init__()
        self.parts = nn.ModuleList(nn.Linear(64, count, bias=False) for count in (64, 32, 32))
        self.out = nn.Linear(128, 96)
        self.turned = nn.Parameter(torch.randn(96, 80) / 10)

    def forward(self, x: Tensor) -> Any:
        return self.out(torch.cat([part(x) for part in self.parts], -1).relu()) @ self.turned


@pytest.mark.parametrize("rows", [1, 2])
def test_a_compiled_forward_takes_them_for_one_row(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    from decodery.models.compiling.cuda import one_row

    torch._dynamo.reset()
    launches: list[tuple[int, ...]] = []
    kernel: Any = one_row._times_row

    class Seen:
        def __getitem__(self, grid: Any) -> Callable[..., Any]:
            def launch(*given: Any, **named: Any) -> Any:
                launches.append(tuple(count for count in given[4:7] if count))
                return kernel[grid](*given, **named)

            return launch

    monkeypatch.setattr(one_row, "_times_row", Seen())
    with torch.no_grad():
        model = Mixed().cuda().eval()
        x = torch.randn(rows, 1, 64, device="cuda")
        found = Compiled(model, x.device)(x)
        torch.testing.assert_close(found, model(x), atol=1e-4, rtol=1e-4)
    assert launches == ([(64, 32, 32)] if rows == 1 else [])


def test_what_is_new_in_a_capture_goes_uncompiled() -> None:
    torch._dynamo.reset()
    compiled = Compiled(lambda x: (x * 2).cumsum(-1), torch.device("cuda"))
    x = torch.arange(4.0, device="cuda")
    compiled(x)
    longer = torch.arange(6.0, device="cuda")
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        found = compiled(longer)
    longer.add_(1)
    graph.replay()
    assert found.tolist() == [2, 6, 12, 20, 30, 42]
