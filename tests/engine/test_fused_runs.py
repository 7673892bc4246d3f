"""Whole runs with kernels: the tokens of the steps themselves, whatever happens to the rows."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from decodery import Decoder, Generation, Pipeline
from decodery.contracts.errors import BadRow, UnknownName
from decodery.engine.plan.planned import Planned, planned
from decodery.host.registry import Host
from decodery.kernels.table import table
from decodery.testing import TableModel

CHAIN = (
    Pipeline()
    .add("repetition_penalty", 1.3)
    .add("temperature", 0.9)
    .add("top_k", 12)
    .add("top_p", 0.9)
    .with_strategy("sample")
    .stop("max_new_tokens", 30)
)
BACKENDS = [entry.name for entry in table(Host()) if entry.backend is not None]
PROMPTS = [[1, 2, 3], [4, 5, 6, 7, 8], [9]]


def generate(pipe: Pipeline, backend: str, monkeypatch: pytest.MonkeyPatch, **arguments: Any) -> Generation:
    monkeypatch.setenv("DECODERY_KERNELS", backend)
    decoder = Decoder(TableModel(400), pipe, vocab_size=400)
    return decoder.generate(PROMPTS, **{"seed": 5, **arguments})


@pytest.mark.parametrize("scope", ["all", "prompt", "output"])
@pytest.mark.parametrize("window", [None, 4])
def test_a_run_with_kernels_is_the_run_without(
    scope: str, window: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe = CHAIN.replace("repetition_penalty", "repetition_penalty", 1.3, scope=scope, window=window)
    fused = generate(pipe, "torch", monkeypatch, n=2)
    assert fused.tokens == generate(pipe, "reference", monkeypatch, n=2).tokens
    assert fused.fallbacks == 0


def test_whoever_looks_at_scores_sees_them_and_the_tokens_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = generate(CHAIN, "torch", monkeypatch)
    watched = generate(CHAIN, "torch", monkeypatch, return_scores=True, logprobs=2)
    assert watched.tokens == plain.tokens
    assert watched.scores is not None
    assert torch.isinf(watched.scores[0]).any()


def test_a_step_of_ones_own_goes_before_the_kernels_and_is_called_once_a_step(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls: list[int] = []

    def own(input_ids: Tensor, scores: Tensor) -> Tensor:
        calls.append(input_ids.shape[1])
        return scores + 1.0 * (torch.arange(scores.shape[1]) % 7 == 0)

    pipe = CHAIN.add(own, at=1)
    fused = generate(pipe, "torch", monkeypatch)
    counted = sorted(calls)
    calls.clear()
    assert fused.tokens == generate(pipe, "reference", monkeypatch).tokens
    assert counted == sorted(calls)


def test_a_bad_row_is_named_with_kernels_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def spoils(input_ids: Tensor, scores: Tensor) -> Tensor:
        return scores * torch.nan if input_ids.shape[1] > 6 else scores

    with pytest.raises(BadRow, match="'spoils'"):
        generate(CHAIN.add(spoils, at=0), "torch", monkeypatch)


def test_a_stop_rule_of_ones_own_is_shown_processed_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    def when_cut(input_ids: Tensor, scores: Tensor) -> Tensor:
        return torch.isinf(scores).any(-1)

    assert [len(row) for row in generate(CHAIN.stop(when_cut), "torch", monkeypatch).tokens] == [1, 1, 1]


def test_a_plan_says_what_is_fused_and_why_not_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DECODERY_KERNELS", "torch")
    sampling, greedy = CHAIN, CHAIN.with_strategy("greedy")

    def plan(pipe: Pipeline) -> Planned:
        return planned(pipe.processors, pipe.effective_strategy, pipe.host)

    names = ("repetition_penalty", "temperature", "top_k", "top_p")
    assert plan(sampling) == Planned((), names, "torch", ())
    forced = plan(sampling.add("forced_bos", 3, at=1))
    assert forced.dense == ("repetition_penalty", "forced_bos")
    assert forced.opaque == "forced_bos does not say what it does to the scores"
    late = plan(sampling.add("suppress_tokens", [4]))
    assert (late.fused, late.reasons) == ((), ("torch: nothing is cut, so every token is a candidate",))
    assert plan(greedy.add("typical_p", 0.9)).reasons == ("'typical' may cut the best token itself",)
    monkeypatch.setenv("DECODERY_KERNELS", "reference")
    assert plan(sampling).backend == "reference"
    monkeypatch.setenv("DECODERY_KERNELS", "quick")
    with pytest.raises(UnknownName, match="quick"):
        plan(sampling)


def test_fused_steps_need_one_temporary_as_large_as_the_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, vocab = 8, 262_144
    logits = torch.randn(rows, vocab, generator=torch.Generator().manual_seed(1)) * 4
    x = torch.randint(0, vocab, (rows, 16))
    for chain in (CHAIN, Pipeline().add("temperature", 0.6).add("top_p", 0.5).with_strategy("sample")):
        for backend in BACKENDS:
            monkeypatch.setenv("DECODERY_KERNELS", backend)
            for pipe in (chain.compat("hf"), chain):
                bound = pipe.bind(x, seed=1)
                bound.pick(x, logits)  # what is kept for the run is made now
                with torch.profiler.profile(profile_memory=True) as seen:
                    fresh = pipe.bind(x, seed=1)
                    fresh.pick(x, logits)
                assert fresh.plan.fallbacks == 0
                del fresh  # or the next one's memory would be this one's
                most, size = peak(seen), rows * vocab * 4
                assert most < 1.3 * size + vocab * 8  # and one row of random numbers
                # In torch edits need a copy: was nothing measured? In C++ they lie beside the row.
                assert "native" in backend or chain is not CHAIN or most >= size
                assert "native" not in backend or most < vocab * 4


def peak(seen: Any) -> int:
    """The most bytes that were held at once."""
    held = most = 0
    for event in sorted(seen.profiler.kineto_results.events(), key=lambda event: event.start_ns()):
        if event.name() == "[memory]":
            held += event.nbytes()
            most = max(most, held)
    return most
