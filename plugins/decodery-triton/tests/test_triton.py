"""The CUDA step draws transformers' very tokens; without a device the package says so."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers.generation import logits_process as hf

from decodery.contracts.lowering import Map, Truncation
from decodery.engine.rng import RowRng
from decodery.kernels.draw import inverse_cdf
from decodery_triton.available import why_not

gpu = pytest.mark.skipif(bool(why_not()), reason=f"decodery-triton: {why_not()}")
CHAIN = (Map("temperature", 0.8), Truncation("k", 50), Truncation("mass", 0.95))


def test_without_a_device_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert why_not() == "no CUDA device"


@gpu
@pytest.mark.gpu
@pytest.mark.parametrize("rows", [1, 8])
@pytest.mark.parametrize("by_row", [False, True])
def test_a_step_draws_transformers_tokens(rows: int, by_row: bool) -> None:
    from decodery_triton.step import SamplingStep

    vocab, device = 50_257, torch.device("cuda")
    logits = torch.randn(rows, vocab, generator=torch.Generator().manual_seed(1)).cuda() * 3
    text = torch.randint(0, vocab, (rows, 64), generator=torch.Generator().manual_seed(2)).cuda()
    steps = torch.zeros(rows, dtype=torch.int64, device=device)
    rng: Any = RowRng(torch.arange(rows, device=device), steps.clone(), steps) if by_row else None
    torch.manual_seed(3)
    step = SamplingStep(CHAIN, rows, vocab, device, penalty=1.1, row_rng=rng)
    step.observe(text)
    chain = hf.LogitsProcessorList(
        [
            hf.RepetitionPenaltyLogitsProcessor(1.1),
            hf.TemperatureLogitsWarper(0.8),
            hf.TopKLogitsWarper(50),
            hf.TopPLogitsWarper(0.95),
        ]
    )
    for place in range(6):
        uniform = rng.uniform() if by_row else None
        tokens, flags = step(logits)
        scores = chain(text, logits)
        expected = (
            torch.multinomial(scores.softmax(-1), 1).squeeze(1)
            if uniform is None
            else inverse_cdf(scores, uniform)
        )
        certain = flags == 0
        assert torch.equal(tokens[certain], expected[certain])
        step.observe(expected.unsqueeze(1))
        steps.fill_(place + 1)
        text = torch.cat((text, expected.unsqueeze(1)), dim=1)


@gpu
@pytest.mark.gpu
@pytest.mark.parametrize("by_row", [False, True])
def test_a_step_that_is_halted_leaves_history_and_random_numbers(by_row: bool) -> None:
    from decodery_triton.step import SamplingStep

    rows, vocab, device = 3, 1_000, torch.device("cuda")
    logits = torch.randn(rows, vocab, device=device) * 3
    counted = torch.zeros(rows, dtype=torch.int64, device=device)
    rng: Any = RowRng(torch.arange(rows, device=device), counted.clone(), counted) if by_row else None
    halted = torch.ones(1, dtype=torch.bool, device=device)
    step = SamplingStep(CHAIN, rows, vocab, device, penalty=1.1, row_rng=rng, halted=halted)
    kept = [part for part in (step.seen, step.clock, counted) if part is not None]
    before = [part.clone() for part in kept]
    step(logits)
    # The offset of the step itself is written all the same; nothing reads it.
    now = [part.clone() for part in kept]
    if step.clock is not None:
        assert now[1][:2].tolist() == before[1][:2].tolist()
        now[1], before[1] = now[1][:2], before[1][:2]
    assert all(torch.equal(a, b) for a, b in zip(now, before, strict=True))
    halted.zero_()
    step(logits)
    assert int(step.seen.ne(0).sum()) > 0
    assert step.clock is None or step.clock[1] > before[1][1]
    assert not by_row or counted.tolist() == [1] * rows
