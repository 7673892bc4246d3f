"""One sampling step of a whole chain on given logits: transformers' processors against a pipeline's `pick`."""

from __future__ import annotations

import torch
from transformers.generation import logits_process as hf

from decodery import Pipeline

from .measure import medians, report


def run(rounds: int = 30) -> None:
    """Repetition 1.1, temperature 0.8, top-k 50, top-p 0.95, draw; equal tokens are checked before timing."""
    torch.set_num_threads(1)
    pipe = (
        Pipeline()
        .add("repetition_penalty", 1.1)
        .add("temperature", 0.8)
        .add("top_k", 50)
        .add("top_p", 0.95)
        .with_strategy("sample", seed=1)
    )
    chain = hf.LogitsProcessorList(
        [
            hf.RepetitionPenaltyLogitsProcessor(1.1),
            hf.TemperatureLogitsWarper(0.8),
            hf.TopKLogitsWarper(50),
            hf.TopPLogitsWarper(0.95),
        ]
    )
    for vocab, rows in ((32_000, 1), (128_256, 1), (128_256, 16)):
        generator = torch.Generator().manual_seed(vocab + rows)
        ranks = torch.stack([torch.randperm(vocab, generator=generator) for _ in range(rows)]) + 1.0
        logits = -1.6 * ranks.log() + 0.5 * torch.randn(rows, vocab, generator=generator)
        ids = torch.randint(0, vocab, (rows, 128), generator=generator)

        def peer(ids: torch.Tensor = ids, logits: torch.Tensor = logits) -> torch.Tensor:
            return torch.multinomial(chain(ids, logits).softmax(-1), 1).squeeze(1)

        identical = pipe.compat("hf").with_strategy("sample")
        torch.manual_seed(3)
        expected = peer()
        torch.manual_seed(3)
        if not torch.equal(identical.pick(ids, logits), expected):
            raise SystemExit("the pipeline's tokens are not transformers'")
        for name, ours in (("identical tokens", identical), ("row generator", pipe)):
            sides = {"decodery": lambda ours=ours: ours.pick(ids, logits), "transformers": peer}  # noqa: B023
            report(f"step, V={vocab:,}, B={rows}, {name}", medians(sides, rounds), "transformers")
