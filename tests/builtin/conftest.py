"""Rows of scores and ids to try steps on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from decodery.contracts.params import param_values
from decodery.contracts.specs import StepSpec, resolve
from decodery.contracts.steps import fill
from decodery.host.registry import Host

VOCABULARIES = (2, 3, 17, 250, 4000)
DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)


def _zipf(rows: int, vocab: int, rng: torch.Generator) -> Tensor:
    """Like a language model's: the log of a power law, shuffled and shaken."""
    ranks = torch.stack([torch.randperm(vocab, generator=rng) for _ in range(rows)]) + 1.0
    return -1.3 * ranks.log() + 0.3 * torch.randn(rows, vocab, generator=rng) + 5


def _flat(rows: int, vocab: int, rng: torch.Generator) -> Tensor:
    return 1e-3 * torch.randn(rows, vocab, generator=rng)


def _tied(rows: int, vocab: int, rng: torch.Generator) -> Tensor:
    return torch.randint(-2, 3, (rows, vocab), generator=rng).float()


def _sharp(rows: int, vocab: int, rng: torch.Generator) -> Tensor:
    """So far apart that most probabilities are 0 in every dtype."""
    return 300 * torch.randn(rows, vocab, generator=rng)


def _holes(rows: int, vocab: int, rng: torch.Generator) -> Tensor:
    """Half of the tokens banned by an earlier step, the first of each row never."""
    scores = _zipf(rows, vocab, rng)
    banned = torch.rand(rows, vocab, generator=rng) < 0.5
    banned[:, 0] = False
    return scores.masked_fill(banned, -torch.inf)


KINDS = (_zipf, _flat, _tied, _sharp, _holes)


def batches_of_scores(
    dtype: torch.dtype = torch.float32, repeats: int = 2, seed: int = 0
) -> Iterator[Tensor]:
    """Random (B, V) scores: 125 rows in 50 batches for each two repeats."""
    rng = torch.Generator().manual_seed(seed)
    for repeat in range(repeats):
        for place, vocab in enumerate(VOCABULARIES):
            for kind in KINDS:
                yield kind(1 + (place + repeat) % 4, vocab, rng).to(dtype)


@pytest.fixture
def batches():
    return batches_of_scores


@pytest.fixture
def steps() -> dict[str, StepSpec]:
    """The built-in steps by name."""
    return {spec.name: spec for spec in Host("").builtin(StepSpec)}


class Letters:
    """A tokenizer of single letters."""

    bos, eos, pad, size = None, (), None, 128

    def encode(self, text: str, special: bool = True) -> list[int]:
        return [ord(letter) for letter in text]

    def decode(self, ids: list[int]) -> str:
        return "".join(chr(token) for token in ids)


@pytest.fixture
def build(steps):
    """Builds a step as a bind does: parameters checked, then the facts it asks for; by keyword only."""

    def build(name: str, values: dict[str, object] | None = None, **facts: object):
        known = {
            "eos": (),
            "padding": None,
            "prompt_lengths": torch.tensor([0]),
            "tokenizer": Letters(),
            "encoder_ids": torch.tensor([[3, 1, 2], [1, 5, 0]]),
            "encoder_lengths": None,
            "prompt_index": torch.tensor([0, 1]),
            "limits": None,
            **facts,
        }
        spec = steps[name]
        fields = param_values(fill(spec, values or {}))
        return resolve(spec.factory, name)(**fields, **{need: known[need] for need in spec.needs})

    return build
