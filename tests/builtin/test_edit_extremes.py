"""Scores at the ends of a dtype, where the formulas of transformers overflow or must be followed with care."""

from __future__ import annotations

import pytest
import torch
from hf_versions import not_with_4
from transformers.generation.logits_process import ExponentialDecayLengthPenalty

EOS = (0, 1)


@not_with_4["infinite"]
@pytest.mark.parametrize("factor", [0.5, 1.4])
def test_infinite_scores_get_no_bonus_as_in_transformers(factor, build):
    scores = torch.tensor([[torch.inf, -torch.inf, 1.0], [0.0, -3.0, 1.0]])
    ids = torch.zeros(2, 6, dtype=torch.int64)
    step = build("exponential_decay_length_penalty", {"decay": [1, factor]}, eos=EOS)
    wanted = ExponentialDecayLengthPenalty((1, factor), list(EOS), 0)(ids, scores)
    assert torch.equal(step(ids, scores), wanted)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16], ids=str)
def test_a_bonus_past_every_number_makes_neither_nan_nor_infinity(dtype, build):
    """transformers raises OverflowError, or answers with an infinite score, which nothing can be drawn from."""
    scores = torch.tensor([[0.0, -2.0, 1.0]], dtype=dtype)
    ids = torch.zeros(1, 4000, dtype=torch.int64)
    got = build("exponential_decay_length_penalty", {"decay": [0, 1.9]}, eos=EOS)(ids, scores)
    assert got.isfinite().all()
    assert got.argmax() == 1
    with pytest.raises(OverflowError):
        ExponentialDecayLengthPenalty((0, 1.9), list(EOS), 0)(ids, scores)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16], ids=str)
def test_the_lowest_number_in_the_place_of_a_ban_grows_to_the_greatest_not_to_nothing(dtype, build):
    """transformers says infinity, a greedy choice's as well; one below it is the greatest number."""
    limits = torch.finfo(dtype)
    scores = torch.tensor([[limits.min, 0.9 * limits.max, 1.0]], dtype=dtype)
    ids = torch.zeros(1, 5, dtype=torch.int64)
    for factor in (1.01, 1.2, 1.4, 1.9):
        got = build("exponential_decay_length_penalty", {"decay": [0, factor]}, eos=EOS)(ids, scores)
        wanted = ExponentialDecayLengthPenalty((0, factor), list(EOS), 0)(ids, scores)
        assert torch.equal(got, wanted.clamp(max=limits.max))
    assert wanted[0, :2].isinf().all()
