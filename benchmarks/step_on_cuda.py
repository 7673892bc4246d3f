"""The sampling step alone on a CUDA device: decodery-triton in a CUDA graph against transformers' chain, eager."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from decodery.contracts.lowering import Map, Truncation

from .measure import Comparison
from .rows import logits

VOCAB, STEPS = 128_256, 8
LEAST = {1: 25.0, 8: 30.0, 64: 30.0, 256: 30.0}


def run(rounds: int = 30) -> Iterator[Comparison]:
    """Repetition + temperature + top-k 50 + top-p 0.95 + draw; over eight steps equal tokens are checked first."""
    try:
        from decodery_triton.available import why_not  # noqa: PLC0415  # may not be installed
    except ImportError:
        return
    if why_not():
        return
    for rows in (1, 8, 64, 256):
        for kind in ("identical", "row generator"):
            yield _compared(rows, kind, rounds)


def _compared(rows: int, kind: str, rounds: int) -> Comparison:
    from transformers.generation import logits_process as hf  # noqa: PLC0415

    from decodery.engine.rng import RowRng  # noqa: PLC0415
    from decodery_triton.step import SamplingStep  # noqa: PLC0415  # wants Triton

    device = torch.device("cuda")
    data = [logits("lm", rows, VOCAB, seed).to(device) for seed in range(STEPS)]
    text = torch.randint(0, VOCAB, (rows, 64), generator=torch.Generator().manual_seed(0)).to(device)
    chain = (Map("temperature", 0.8), Truncation("k", 50), Truncation("mass", 0.95))
    processors: Any = hf.LogitsProcessorList(
        [
            hf.RepetitionPenaltyLogitsProcessor(1.1),
            hf.TemperatureLogitsWarper(0.8),
            hf.TopKLogitsWarper(50),
            hf.TopPLogitsWarper(0.95),
        ]
    )
    keys = torch.arange(rows, device=device)
    counted = torch.zeros(rows, dtype=torch.int64, device=device)
    rng = RowRng(keys, torch.zeros_like(keys), counted) if kind == "row generator" else None
    twin = RowRng(keys, torch.zeros_like(keys), counted.clone())
    torch.cuda.manual_seed(1)
    step = SamplingStep(chain, rows, VOCAB, device, penalty=1.1, row_rng=rng)
    step.observe(text)
    static = data[0].clone()
    for _ in range(3):
        step(static)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step(static)
    torch.cuda.synchronize()

    torch.cuda.manual_seed(1)  # from the start, for both
    step.seen.zero_()
    step.observe(text)
    step.read_generator()
    counted.zero_()
    torch.cuda.synchronize()
    drawn, flags = [], []
    for rowful in data:
        static.copy_(rowful)
        graph.replay()
        drawn.append(step.tokens.clone())
        flags.append(step.flags.clone())
    torch.cuda.synchronize()
    wrong, flagged = _judged(data, text, processors, None if rng is None else twin, drawn, flags)
    if wrong:
        raise SystemExit(f"B={rows}, {kind}: {wrong} of {rows * STEPS} tokens are wrong without a flag")

    def theirs() -> None:
        torch.multinomial(processors(text, data[0].clone()).softmax(-1), 1)

    ours_s, theirs_s = _device_time(graph.replay, rounds), _device_time(theirs, rounds)
    title = f"sampling step on CUDA, V={VOCAB:,}, B={rows}, {kind} ({flagged} of {rows * STEPS} rows flagged)"
    return Comparison(title, "triton, graph", ours_s, "transformers", theirs_s, LEAST[rows])


def _judged(
    data: list[Tensor], text: Tensor, processors: Any, rng: Any, drawn: list[Tensor], flags: list[Tensor]
) -> tuple[int, int]:
    """Tokens that are not the reference's, in rows without a flag; and rows with one."""
    from decodery.kernels.draw import inverse_cdf  # noqa: PLC0415

    torch.cuda.manual_seed(1)
    wrong = flagged = 0
    for place, rowful in enumerate(data):
        scores: Tensor = processors(text, rowful.clone())
        if rng is None:
            expected = torch.multinomial(scores.softmax(-1), 1).squeeze(1)
        else:
            rng.steps.fill_(place)
            expected = inverse_cdf(scores, rng.uniform())
        certain = flags[place] == 0
        wrong += int(((drawn[place] != expected) & certain).sum())
        flagged += int((~certain).sum())
        text = torch.cat((text, drawn[place].unsqueeze(1)), dim=1)
    return wrong, flagged


def _device_time(call: Any, rounds: int) -> float:
    """Seconds a call, of `rounds` queued one after the other: the median of five goes."""
    found = []
    for _ in range(5):
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        torch.cuda.synchronize()
        begin.record()
        for _ in range(rounds):
            call()
        end.record()
        torch.cuda.synchronize()
        found.append(begin.elapsed_time(end) / rounds / 1e3)
    return sorted(found)[2]
