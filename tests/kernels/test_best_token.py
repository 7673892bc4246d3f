"""The best token of a row, however it is found: the one that `Tensor.argmax` names."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from decodery.kernels import alone, backends

SPECIAL = [math.nan, math.inf, -math.inf, 0.0, -0.0, 1e-45, -1e-45, 3.0]


@pytest.fixture(params=["numpy", "torch alone"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """With numpy, and as where torch was built without it."""
    if request.param == "torch alone":

        def absent(self: Tensor) -> None:
            raise RuntimeError("Numpy is not available")

        monkeypatch.setattr(Tensor, "numpy", absent)
        assert backends.array_of(torch.zeros(1)) is None
    return str(request.param)


def odd_row(seed: int, vocab: int) -> Tensor:
    """(1, V) of few values, so that the best is there several times, on both sides of any boundary."""
    generator = torch.Generator().manual_seed(seed)
    kinds = torch.randperm(len(SPECIAL), generator=generator)[: 1 + seed % 3]
    values = torch.tensor(SPECIAL)[kinds]
    row = values[torch.randint(len(values), (1, vocab), generator=generator)]
    if seed % 2:  # what is odd is rare
        row = torch.where(torch.rand(1, vocab, generator=generator) < 3 / vocab, row, -1.5)
    return row


@pytest.mark.parametrize("vocab", [1, 2, 17, 1023, 1024, 4099, 128_256])
def test_ties_nan_infinities_and_both_zeros_are_decided_as_torch_does(vocab: int, way: str) -> None:
    for seed in range(48 if vocab < 10_000 else 12):
        row = odd_row(seed, vocab)
        place = int(row.argmax())
        token, value = alone.best(row)
        assert type(token) is int
        assert token == place
        assert value == row[0, place] or (math.isnan(value) and bool(row[0, place].isnan()))
        batch = torch.cat([row, odd_row(seed + 1, vocab), row])
        tokens = backends.argmax(batch)
        assert tokens.dtype is torch.int64
        assert torch.equal(tokens, batch.argmax(-1))


STRANGE: dict[str, Callable[[], Tensor]] = {
    "every other column": lambda: torch.arange(40.0).view(2, 20)[:, ::2],
    "columns first": lambda: torch.randn(20, 2, generator=torch.Generator().manual_seed(1)).t(),
    "one row twice": lambda: torch.randn(1, 20, generator=torch.Generator().manual_seed(1)).expand(2, -1),
    "bfloat16": lambda: torch.randn(2, 3000, generator=torch.Generator().manual_seed(1)).bfloat16(),
    "with a gradient": lambda: torch.randn(
        2, 2048, generator=torch.Generator().manual_seed(1)
    ).requires_grad_(),
    "many rows": lambda: torch.randn(70, 2048, generator=torch.Generator().manual_seed(1)),
}


@pytest.mark.parametrize("kind", STRANGE)
def test_whatever_lies_in_memory_in_another_way_has_the_same_best(kind: str, way: str) -> None:
    scores = STRANGE[kind]()
    assert torch.equal(backends.argmax(scores), scores.argmax(-1))


def test_many_rows_are_the_affair_of_several_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    scores, asked = STRANGE["many rows"](), []
    monkeypatch.setattr(backends, "array_of", lambda scores: asked.append(len(scores)))
    for threads in (1, 8):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        assert torch.equal(backends.argmax(scores), scores.argmax(-1))
        assert torch.equal(backends.argmax(scores[:4]), scores[:4].argmax(-1))
    assert asked == [70, 4, 4]


def test_rows_of_inference_mode_are_read_like_others() -> None:
    with torch.inference_mode():
        scores = torch.randn(1, 2048)
        assert torch.equal(backends.argmax(scores), scores.argmax(-1))
        assert alone.best(scores)[0] == int(scores.argmax())
