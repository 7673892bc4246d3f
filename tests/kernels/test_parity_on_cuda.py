"""A graph's sampling step on a CUDA device draws transformers' very tokens, and leaves the generator where it would."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from parity import SHAPES, logits
from torch import Tensor
from transformers.generation import logits_process as hf

from decodery.contracts.lowering import Map, Truncation

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
VOCABULARIES = (17, 1_000, 32_003, 128_256)
DTYPES = (torch.float32, torch.bfloat16, torch.float16)
CHAINS: dict[str, tuple[float, tuple[Any, ...], tuple[Any, ...]]] = {
    "chat": (
        1.1,
        (Map("temperature", 0.8), Truncation("k", 50), Truncation("mass", 0.95)),
        (hf.TemperatureLogitsWarper(0.8), hf.TopKLogitsWarper(50), hf.TopPLogitsWarper(0.95)),
    ),
    "top_p": (1.0, (Truncation("mass", 0.9),), (hf.TopPLogitsWarper(0.9),)),
    "min_p": (1.0, (Truncation("ratio", 0.05),), (hf.MinPLogitsWarper(0.05),)),
    "epsilon_cutoff": (1.0, (Truncation("floor", 3e-4),), (hf.EpsilonLogitsWarper(3e-4),)),
}
COMBINATIONS = list(itertools.product(CHAINS, VOCABULARIES, DTYPES, SHAPES))


def cases(rows: int, seed: int) -> Iterator[tuple[str, int, Tensor, Tensor]]:
    """Chain, seed, logits (R, V) and ids (R, T), so many rows in all, spread over the combinations."""
    chance = torch.Generator().manual_seed(seed)
    each, more = divmod(rows, len(COMBINATIONS))
    for place, (chain, vocab, dtype, shape) in enumerate(COMBINATIONS):
        count = each + (place < more)
        if count:
            ids = torch.randint(0, vocab, (count, 40), generator=chance)
            yield chain, place, logits(shape, count, vocab, chance).to(dtype).cuda(), ids.cuda()


def wrong_rows(rows: int, seed: int) -> tuple[int, int, int]:
    """How many tokens are wrong without a flag, how many rows were tried, how many were flagged."""
    from decodery_triton.step import SamplingStep

    wrong = tried = flagged = 0
    for name, start, scores, ids in cases(rows, seed):
        penalty, chain, warpers = CHAINS[name]
        torch.cuda.manual_seed(start)
        step = SamplingStep(chain, *scores.shape, scores.device, penalty=penalty)
        step.observe(ids)
        tokens, flags = step(scores)
        step.write_generator()
        after = torch.cuda.get_rng_state()
        torch.cuda.manual_seed(start)
        processed = scores.float()
        if penalty != 1.0:
            processed = hf.RepetitionPenaltyLogitsProcessor(penalty)(ids, processed)
        for warper in warpers:
            processed = warper(ids, processed)
        expected = torch.multinomial(processed.softmax(-1), 1).squeeze(1)
        assert torch.equal(after, torch.cuda.get_rng_state()), (name, tuple(scores.shape))
        wrong += int(((tokens != expected) & (flags == 0)).sum())
        flagged += int((flags != 0).sum())
        tried += len(scores)
    return wrong, tried, flagged


def test_five_hundred_rows_are_transformers_own() -> None:
    wrong, tried, flagged = wrong_rows(500, seed=1)
    assert (wrong, tried) == (0, 500)
    assert 0 < flagged < 250, "the kernels should decide most of these rows, and doubt some"


@pytest.mark.slow
def test_ten_thousand_rows_are_transformers_own() -> None:
    wrong, tried, flagged = wrong_rows(10_000, seed=2)
    assert (wrong, tried) == (0, 10_000)
    print(f"{flagged} of {tried} rows flagged")
