"""A row alone is decided with numbers on the host, rows together with tensors: the same tokens, the same doubts."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from decodery.contracts.lowering import Map, Truncation
from decodery.kernels import alone
from decodery.kernels.torch_backend import TorchBackend

CHAINS: list[tuple[Any, ...]] = [
    (Map("temperature", 0.8), Truncation("k", 50), Truncation("mass", 0.95)),
    (Truncation("k", 3, 5), Truncation("mass", 0.1, 4)),
    (Truncation("k", 20), Truncation("ratio", 0.1), Truncation("mass", 0.7)),
    (Truncation("k", 40), Map("renormalise"), Truncation("mass", 0.999)),
]


def rows(kind: str, seed: int) -> torch.Tensor:
    """(1, V) float32."""
    made = torch.randn(1, 4096, generator=torch.Generator().manual_seed(seed)) * 3
    if kind == "tied":
        return made.round()
    if kind == "few":
        return made.masked_fill(torch.arange(4096) % 200 != 7, -torch.inf)
    return made


@pytest.mark.parametrize("chain", CHAINS, ids=lambda chain: " ".join(part.kind for part in chain))
@pytest.mark.parametrize("kind", ["plain", "tied", "few"])
def test_a_row_alone_is_decided_as_with_others(chain: Any, kind: str) -> None:
    backend, doubts = TorchBackend(), 0
    for seed in range(60):
        row = rows(kind, seed)
        uniform = torch.rand(1, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
        for draw in ("row", "torch"):
            answers = []
            for count in (1, 2):
                found = backend.truncate(row.repeat(count, 1), chain, 64)
                if draw == "row":
                    tokens, flags = backend.draw_row(found, uniform.repeat(count))
                else:
                    tokens, flags = backend.draw_torch(found, 4096, torch.Generator().manual_seed(seed))
                answers.append((bool(flags[0]), int(tokens[0])))
            assert answers[0][0] == answers[1][0], "one doubts what the other does not"
            assert answers[0][0] or answers[0] == answers[1]
            doubts += answers[0][0]
    assert doubts < 120, "most rows are decided"


def test_the_host_decides_what_it_can(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []
    cut = alone.cut
    monkeypatch.setattr(alone, "cut", lambda found, rule: asked.append(cut(found, rule)) or asked[-1])
    TorchBackend().truncate(rows("plain", 1), CHAINS[0], 64)
    TorchBackend().truncate(rows("plain", 1).repeat(2, 1), CHAINS[0], 64)
    assert asked == [True, True, False, False]
