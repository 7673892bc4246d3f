"""The slope of the repetition penalty: what counts in the older half is penalised less."""

from __future__ import annotations

import pytest
import torch
from transformers.generation.logits_process import RepetitionPenaltyLogitsProcessor

V = 9


def _by_hand(ids, scores, penalty, slope, window):
    """One row, in plain Python: the newest half of the window in full, what is older than that by the slope."""
    seen = ids if window is None else ids[-window:]
    older = len(seen) // 2
    near, far = set(seen[older:]), set(seen[:older])
    out = []
    for token, score in enumerate(scores):
        p = penalty if token in near else 1 + (penalty - 1) * slope if token in far else 1
        out.append(score * p if score < 0 else score / p)
    return out


@pytest.mark.parametrize("window", [None, 1, 4, 7])
@pytest.mark.parametrize("slope", [0.0, 0.3, 1.0])
def test_the_older_half_is_penalised_by_the_slope(slope, window, build):
    rng = torch.Generator().manual_seed(0)
    values = {"penalty": 1.5, "slope": slope, "window": window}
    step = build("repetition_penalty", values)
    for width in range(1, 14):
        ids = torch.randint(0, V, (3, width), generator=rng)
        scores = torch.randn(3, V, generator=rng, dtype=torch.float64)
        lengths = torch.randint(1, width + 1, (3,), generator=rng)
        got = step(ids, scores, lengths=lengths)
        for row in range(3):
            own = ids[row, : lengths[row]].tolist()
            wanted = torch.tensor(
                _by_hand(own, scores[row].tolist(), 1.5, slope, window), dtype=torch.float64
            )
            assert torch.allclose(got[row], wanted, rtol=1e-12)


def test_the_scope_is_halved_and_not_the_text(build):
    ids = torch.tensor([[0, 0, 0, 0, 1, 2, 3, 4]])
    step = build("repetition_penalty", {"penalty": 2.0, "slope": 0.0, "scope": "output"})
    got = step(ids, torch.ones(1, V), prompt_lengths=torch.tensor([4]))
    assert got.tolist() == [[1, 1, 1, 0.5, 0.5, 1, 1, 1, 1]]


def test_without_a_slope_it_is_the_class_of_transformers(build):
    rng = torch.Generator().manual_seed(1)
    ids, scores = torch.randint(0, V, (4, 11), generator=rng), torch.randn(4, V, generator=rng)
    got = build("repetition_penalty", {"penalty": 1.3, "slope": 1})(ids, scores)
    assert torch.equal(got, RepetitionPenaltyLogitsProcessor(1.3)(ids, scores))
