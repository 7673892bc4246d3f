"""Steps that look at the text: their cost at a context of 512 tokens and of 32,768."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from decodery import Pipeline
from decodery.contracts.errors import UnknownName

from .measure import Comparison, backends, compare, using
from .rows import logits

VOCAB = 32_000
STEPS: dict[str, dict[str, Any]] = {
    "no_repeat_ngram": {"ngram_size": 3},
    "dry": {"multiplier": 0.8, "window": 0, "breakers": [5]},
}


def run(rounds: int = 25) -> Iterator[Comparison]:
    """One token appended, one picked: the long text against the short one. A ratio of 1 is flat."""
    for name, values in STEPS.items():
        try:
            pipe = Pipeline().add(name, **values).add("top_k", 50).with_strategy("sample", seed=1)
        except UnknownName:  # its plugin is not installed
            continue
        for backend in backends():
            with using(backend):
                sides = [_Growing(pipe, length) for length in (32_768, 512)]
            long, short = sides
            yield compare(
                f"{name}, context 32,768 against 512",
                backend,
                long,
                "itself",
                short,
                1 / 1.2,
                rounds,
                calls=1,
            )


class _Growing:
    """A text that grows by a token at each call."""

    def __init__(self, pipe: Pipeline, length: int) -> None:
        generator = torch.Generator().manual_seed(length)
        self._given = logits("lm", 1, VOCAB, 3)
        self._text = torch.randint(0, VOCAB, (1, length + 4096), generator=generator)
        self._length = length
        self._bound = pipe.bind(self._text[:, :length], vocab_size=VOCAB, eos_token_id=2)

    def __call__(self) -> torch.Tensor:
        self._length += 1
        return self._bound.pick(self._text[:, : self._length], self._given)
