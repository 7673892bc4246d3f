"""Whole runs with kernels: the tokens of the steps themselves, whatever happens to the rows."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from decodery import Decoder, Generation, Pipeline
from decodery.contracts.errors import BadRow
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
