"""Every backend draws transformers' very tokens and leaves its generator where transformers would."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import torch
from parity import CHAINS, PRECISIONS, SHAPES, VOCABULARIES, cases, pipeline, wrong_rows
from torch import Tensor

from decodery import Pipeline
from decodery.host.registry import Host
from decodery.kernels import candidates, identical, rules, survivors, torch_backend
from decodery.kernels.table import table

BACKENDS = [
    entry.name for entry in table(Host()) if entry.backend is not None and "cpu" in entry.backend.devices
]
EXPONENTIALS_AT, RACE = identical.exponentials_at, survivors.race


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("DECODERY_KERNELS", request.param)
    return str(request.param)


def test_five_hundred_rows_are_transformers_own(backend: str) -> None:
    wrong, tried, fell_back = wrong_rows(500, seed=1, largest=262_144)
    assert not wrong
    assert tried == 500
    assert 0 < fell_back < 200, "fused steps should decide most of these rows, and doubt some"


@pytest.mark.slow
def test_ten_thousand_rows_are_transformers_own(backend: str) -> None:
    wrong, tried, _ = wrong_rows(10_000, seed=2)
    assert not wrong
    assert tried == 10_000


def test_the_cases_have_every_shape_precision_chain_and_vocabulary() -> None:
    names = " ".join(case.name for case in cases(500, seed=1)) + " "
    for word in (*SHAPES, *PRECISIONS, *CHAINS, *(f"V={vocab} " for vocab in VOCABULARIES)):
        assert word in names


@pytest.mark.parametrize("strategy", ["sample", "greedy"])
def test_row_draws_and_greedy_tokens_are_the_steps_own(
    backend: str, strategy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for case in cases(150, seed=3, largest=32_003):
        pipe = pipeline(case).with_strategy(strategy, seed=case.seed if strategy == "sample" else None)
        fused = pipe.pick(case.ids, case.rows)
        with monkeypatch.context() as patch:
            patch.setenv("DECODERY_KERNELS", "reference")
            assert torch.equal(dataclasses.replace(pipe).pick(case.ids, case.rows), fused), case.name


def test_tokens_may_meet_gradients(backend: str) -> None:
    ids, rows = torch.zeros(2, 3, dtype=torch.int64), torch.randn(2, 999)
    pipe = Pipeline().add("top_k", 5)
    for made in (pipe.with_strategy("sample", seed=1), pipe.compat("hf").with_strategy("sample"), pipe):
        assert not made.pick(ids, rows).is_inference()


def _blind(value: Any) -> Callable[..., Any]:
    return lambda *args, **kwargs: value


def _first_window_only(scores: Tensor, window: int) -> candidates.Candidates:
    """Plants: the second-best block is forgotten."""
    found = candidates.best_of(scores, window)
    found.values = torch.cat((found.values[:, :1], found.values[:, 2:], found.values[:, -1:]), dim=1)
    found.ids = torch.cat((found.ids[:, :1], found.ids[:, 2:], found.ids[:, -1:]), dim=1)
    return found


def _unrounded(generator: torch.Generator | None, vocab: int, ids: Tensor) -> Tensor:
    """Plants: the random numbers of the neighbours."""
    return EXPONENTIALS_AT(generator, vocab, (ids + 1).clamp(max=vocab - 1))


def _no_certificate(found: candidates.Candidates, exponentials: Tensor) -> tuple[Tensor, Tensor]:
    """Plants: nothing is ever flagged."""
    tokens, flags = RACE(found, exponentials)
    return tokens, torch.zeros_like(flags)


@pytest.mark.parametrize(
    ("where", "what", "fault"),
    [
        (torch_backend, "best_of", _first_window_only),
        (torch_backend.identical, "exponentials_at", _unrounded),
        (torch_backend.survivors, "race", _no_certificate),
        (rules.certificate, "MASS", -0.03),
        (torch_backend, "apply_map", _blind(None)),
    ],
    ids=[
        "a candidate is lost",
        "wrong random numbers",
        "flags are ignored",
        "top-p cuts early",
        "no temperature",
    ],
)
def test_a_planted_fault_is_seen(where: Any, what: str, fault: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DECODERY_KERNELS", "torch")
    monkeypatch.setattr(where, what, fault)
    wrong, _, _ = wrong_rows(200, seed=1, largest=4096)
    assert wrong
