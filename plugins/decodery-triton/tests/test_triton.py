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


ALONE = {
    "top_p": (Truncation("mass", 0.9), hf.TopPLogitsWarper(0.9)),
    "epsilon": (Truncation("floor", 3e-4), hf.EpsilonLogitsWarper(3e-4)),
    "min_p": (Truncation("ratio", 0.05), hf.MinPLogitsWarper(0.05)),
}


@gpu
@pytest.mark.gpu
@pytest.mark.parametrize("name", ALONE)
def test_equals_of_half_precision_are_decided(name: str) -> None:
    """Hundreds of a row's logits are equal where a cut goes; transformers keeps those that its sort puts last."""
    from decodery_triton.step import SamplingStep

    rows, vocab, device = 64, 50_257, torch.device("cuda")
    part, theirs = ALONE[name]
    place = torch.arange(1, vocab + 1).float()
    logits = torch.stack([-1.6 * place[torch.randperm(vocab)].log() for _ in range(rows)])
    logits = logits.bfloat16().cuda()
    torch.manual_seed(3)
    step = SamplingStep((part,), rows, vocab, device)
    undecided = 0
    for _ in range(10):
        tokens, flags = step(logits)
        expected = torch.multinomial(theirs(None, logits.float()).softmax(-1), 1).squeeze(1)
        certain = flags == 0
        assert torch.equal(tokens[certain], expected[certain])
        undecided += int((~certain).sum())
    assert undecided < 10


@gpu
@pytest.mark.gpu
@pytest.mark.parametrize("rows", [1, 5, 70])
@pytest.mark.parametrize(("everyone", "pads"), [(False, False), (True, False), (True, True)])
@pytest.mark.parametrize("ends", [False, True])
def test_one_launch_settles_what_plain_torch_does(rows: int, everyone: bool, pads: bool, ends: bool) -> None:
    from decodery.engine.buffers.history import History
    from decodery.engine.graph.ends import Ends
    from decodery.engine.graph.standing import Standing
    from decodery.engine.graph.standing import settle as plain
    from decodery_triton.settle import settle

    device, chance = torch.device("cuda"), torch.Generator().manual_seed(rows)

    def some(most: int) -> Any:
        return torch.randint(0, most, (rows,), generator=chance).cuda()

    def fresh() -> Standing:
        prompts = [list(range(1, 2 + row % 4)) for row in range(rows)]
        history = History(prompts, 99, device)
        history.reserve(12)
        named = torch.tensor([3, 7], device=device)
        most = torch.full((rows,), 9, device=device)
        return Standing(history, Ends(named, most, history) if ends else None, everyone=everyone, pads=pads)

    ours, theirs = fresh(), fresh()
    for step in range(40):
        tokens, flags = some(12), (some(40) == 0)
        bad, unsure = ((flags, None), (None, flags.to(torch.uint8)))[step % 2]
        settle(ours, tokens, bad, unsure)
        plain(theirs, tokens, bad, unsure)
        for name in ("newest", "written", "growing", "halted", "told"):
            assert torch.equal(getattr(ours, name), getattr(theirs, name)), (step, name)
        for name in ("tokens", "lengths", "steps"):
            assert torch.equal(getattr(ours.history, name), getattr(theirs.history, name)), (step, name)
        if step % 3:
            ours.halted.zero_()
            theirs.halted.zero_()
