"""Sparse edits alone: banned ids, an end that comes too early, a thousand biases."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from transformers.generation import logits_process as hf

from decodery import Pipeline

from .measure import Comparison, backends, compare, using
from .rows import logits

VOCAB, ROUNDS = 128_256, 25
IDS = list(range(100, 100 + 37 * 100, 37))
BIASES = [[[i], 0.5 + (i % 7) / 10] for i in range(50, 50 + 41 * 1000, 41)]
EOS = 2


def run(rounds: int = ROUNDS) -> Iterator[Comparison]:
    """The step and the choice of the best token, against transformers' class and `argmax`."""
    ids = torch.randint(0, VOCAB, (1, 64), generator=torch.Generator().manual_seed(1))
    given = logits("lm", 1, VOCAB, 5)
    settings: list[tuple[str, str, dict[str, Any], Any]] = [
        ("suppress 100 ids", "suppress_tokens", {"ids": IDS}, hf.SuppressTokensLogitsProcessor(IDS)),
        (
            "min_new_tokens",
            "min_new_tokens",
            {"min_new_tokens": 500},
            hf.MinNewTokensLengthLogitsProcessor(64, 500, EOS),
        ),
        (
            "1,000 biases",
            "sequence_bias",
            {"pairs": BIASES},
            hf.SequenceBiasLogitsProcessor({tuple(i): b for i, b in BIASES}),  # type: ignore[misc]
        ),
    ]
    for title, name, values, processor in settings:

        def peer(processor: Any = processor) -> Tensor:
            return processor(ids, given).argmax(-1)  # type: ignore[no-any-return]

        for backend in backends():
            with using(backend):
                bound = Pipeline().add(name, **values).bind(ids, vocab_size=VOCAB, eos_token_id=EOS)
            # The best token is one of those that are touched, or the edit would not show.
            sharp = given.clone()
            sharp[0, [IDS[3], EOS, BIASES[9][0][0]]] += 50.0  # type: ignore[index]
            if not torch.equal(bound.pick(ids, sharp), processor(ids, sharp).argmax(-1)):
                raise SystemExit(f"{title}: the token is not transformers'")
            ours = lambda bound=bound: bound.pick(ids, given)  # noqa: E731
            yield compare(f"{title} + argmax, V={VOCAB:,}", backend, ours, "transformers", peer, 50.0, rounds)
