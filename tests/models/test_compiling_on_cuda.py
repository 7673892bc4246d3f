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
@pytest.mark.parametrize("counts", [(1,), (333,), (512, 128, 128), (4096, 4096), (7, 1, 1000)])
@pytest.mark.parametrize("length", [1, 33, 1000, 2048, 8192])
def test_products_of_one_row_are_those_of_doubles(
    dtype: torch.dtype, counts: tuple[int, ...], length: int
) -> None:
    from decodery.models.compiling.one_row import one_row_products

    row = torch.randn(1, length, device="cuda", dtype=dtype)
    weights = [torch.randn(count, length, device="cuda", dtype=dtype) / length**0.5 for count in counts]
    exact = torch.cat([row.double() @ weight.double().t() for weight in weights], dim=1)
    found = one_row_products(row, weights)
    assert found.dtype == dtype
    torch.testing.assert_close(found.double(), exact, atol=ROUNDING[dtype], rtol=ROUNDING[dtype])


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
    from decodery.models.compiling import one_row

    torch._dynamo.reset()
    launches: list[tuple[int, ...]] = []
    kernel: Any = one_row._times_row

    class Seen:
        def __getitem__(self, grid: Any) -> Callable[..., Any]:
            def launch(*given: Any) -> Any:
                launches.append(tuple(count for count in given[4:7] if count))
                return kernel[grid](*given)

            return launch

    monkeypatch.setattr(one_row, "_times_row", Seen())
    with torch.no_grad():
        model = Mixed().cuda().eval()
        x = torch.randn(rows, 1, 64, device="cuda")
        found = Compiled(model, x.device)(x)
        torch.testing.assert_close(found, model(x), atol=1e-4, rtol=1e-4)
    assert launches == ([(64, 32, 32)] if rows == 1 else [])
