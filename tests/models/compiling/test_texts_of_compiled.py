"""A compiled graph is run again for the next token where that is all that the model's call comes to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.fx import GraphModule

from decodery.models.compiling.compiled import Compiled
from decodery.models.compiling.text import Text

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def no_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """Graphs are run as dynamo traced them: what inductor makes of them is tried elsewhere."""

    def compile_fx(graph: GraphModule, inputs: list[Any], config_patches: object) -> Callable[..., Any]:
        return graph.forward

    torch.compiler.reset()
    monkeypatch.setattr("torch._inductor.compile_fx.compile_fx", compile_fx)


class Called(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.arange(16.0).view(1, 16))

    def forward(self, x: Tensor, at: Tensor) -> Tensor:
        return x * self.weight + at


@torch.no_grad()
def test_another_call_of_the_kind_is_the_graph_run_again() -> None:
    model = Called()
    text = Text(Compiled(model, CPU))
    x, at = torch.ones(1, 1), torch.tensor([3.0])
    assert text.again(x, at=at) is None
    assert torch.equal(text(x, at=at), model(x, at))
    for n in range(3):
        assert torch.equal(text.again(x * n, at=at + n), model(x * n, at + n))
    text.forget()
    assert text.again(x, at=at) is None


@torch.no_grad()
@pytest.mark.parametrize(
    ("given", "named"),
    [
        ((torch.ones(2, 1),), {"at": torch.tensor([3.0])}),  # more rows
        ((torch.ones(1, 1),), {"at": torch.tensor([3.0]).double()}),
        ((torch.ones(1, 1),), {"at": 3.0}),
        ((torch.ones(1, 1), torch.tensor([3.0])), {}),
        ((torch.ones(1, 1),), {"at": torch.tensor([3.0, 4.0])[:1].expand(1, 1)}),
    ],
)
def test_a_call_of_another_kind_is_not(given: tuple[Any, ...], named: dict[str, Any]) -> None:
    text = Text(Compiled(Called(), CPU))
    text(torch.ones(1, 1), at=torch.tensor([3.0]))
    assert text.again(*given, **named) is None


class Broken(Called):
    """Of two graphs, the second of which depends on a number that the first computed."""

    def forward(self, x: Tensor, at: Tensor) -> Tensor:
        return (x * self.weight)[:, : int(at)] + at


class Deaf(Called):
    """Its code asks a tensor for a number alone."""

    def forward(self, x: Tensor, at: Tensor) -> Tensor:
        return x * self.weight + len(at)


class Wrapping(Called):
    def forward(self, x: Tensor, at: Tensor) -> Any:
        return {"logits": x * self.weight + at}


@torch.no_grad()
@pytest.mark.parametrize("make", [Broken, Deaf, Wrapping])
def test_what_a_graph_alone_does_not_give_is_called_anew(make: Callable[[], nn.Module]) -> None:
    text = Text(Compiled(make(), CPU))
    text(torch.ones(1, 1), at=torch.tensor([3]))
    assert text.again(torch.ones(1, 1), at=torch.tensor([2])) is None


@torch.no_grad()
def test_weights_are_those_of_the_moment() -> None:
    model = Called()
    text = Text(Compiled(model, CPU))
    x, at = torch.ones(1, 1), torch.tensor([0.0])
    text(x, at=at)
    model.weight.mul_(2)
    assert torch.equal(text.again(x, at=at), model(x, at))
