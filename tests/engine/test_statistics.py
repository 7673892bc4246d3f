"""Ten recipes, 50,000 draws each: the tokens drawn are distributed as HF's own processors say they should be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers.generation import logits_process as hf

from decodery import Decoder, Pipeline
from decodery.testing import ScriptedModel, chi_square

VOCAB, DRAWS = 64, 50_000
PROMPT = [3, 9, 3, 14]
RECIPES: dict[str, tuple[Callable[[Pipeline], Pipeline], list[Any]]] = {
    "plain": (lambda p: p, []),
    "temperature": (lambda p: p.add("temperature", 0.7), [hf.TemperatureLogitsWarper(0.7)]),
    "hot": (lambda p: p.add("temperature", 1.8), [hf.TemperatureLogitsWarper(1.8)]),
    "top_k": (lambda p: p.add("top_k", 12), [hf.TopKLogitsWarper(12)]),
    "top_p": (lambda p: p.add("top_p", 0.8), [hf.TopPLogitsWarper(0.8)]),
    "min_p": (lambda p: p.add("min_p", 0.1), [hf.MinPLogitsWarper(0.1)]),
    "typical": (lambda p: p.add("typical_p", 0.6), [hf.TypicalLogitsWarper(0.6)]),
    "eta": (lambda p: p.add("eta_cutoff", 0.02), [hf.EtaLogitsWarper(0.02)]),
    "repetition": (
        lambda p: p.add("repetition_penalty", 1.5).add("epsilon_cutoff", 0.01),
        [hf.RepetitionPenaltyLogitsProcessor(1.5), hf.EpsilonLogitsWarper(0.01)],
    ),
    "chat": (
        lambda p: (
            p.add("repetition_penalty", 1.1).add("temperature", 0.8).add("top_k", 20).add("top_p", 0.95)
        ),
        [
            hf.RepetitionPenaltyLogitsProcessor(1.1),
            hf.TemperatureLogitsWarper(0.8),
            hf.TopKLogitsWarper(20),
            hf.TopPLogitsWarper(0.95),
        ],
    ),
}


def _expected(logits: Tensor, processors: list[Any]) -> Tensor:
    scores = logits.unsqueeze(0)  # (V,) -> (1, V)
    for processor in processors:
        scores = processor(torch.tensor([PROMPT]), scores)
    return scores[0].double().softmax(-1)


@pytest.mark.parametrize("name", RECIPES)
def test_drawn_tokens_follow_the_processed_scores(name: str) -> None:
    build, processors = RECIPES[name]
    logits = torch.randn(VOCAB, generator=torch.Generator().manual_seed(len(name))) * 1.5
    pipe = build(Pipeline()).with_strategy("sample")
    decoder = Decoder(ScriptedModel(logits.unsqueeze(0)), pipe, vocab_size=VOCAB)
    drawn = decoder.generate([PROMPT], n=DRAWS, seed=1234, max_new_tokens=1)
    counts = torch.bincount(torch.tensor([tokens[0] for tokens in drawn.tokens]), minlength=VOCAB)
    expected = _expected(logits, processors)
    assert counts[expected == 0].sum() == 0
    assert chi_square(counts, expected) > 1e-6


def test_successive_steps_of_one_row_are_distributed_as_well() -> None:
    """The step is part of the counter: 500 rows of 100 tokens are as good as 50,000 rows of one."""
    logits = torch.randn(VOCAB, generator=torch.Generator().manual_seed(4))
    decoder = Decoder(
        ScriptedModel(logits.unsqueeze(0)), Pipeline().with_strategy("sample"), vocab_size=VOCAB
    )
    drawn = decoder.generate([PROMPT], n=500, seed=7, max_new_tokens=100)
    counts = torch.bincount(torch.tensor(drawn.tokens).flatten(), minlength=VOCAB)
    assert chi_square(counts, logits.double().softmax(-1)) > 1e-6
