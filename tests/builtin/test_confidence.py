"""The stop rule `confidence`, against the class of transformers, a row at a time."""

from __future__ import annotations

import torch
from transformers.generation.stopping_criteria import ConfidenceCriteria


def test_each_row_ends_as_the_class_of_transformers_would_end_it_alone(build):
    rng = torch.Generator().manual_seed(0)
    rule, theirs = build("confidence", {"threshold": 0.1}), ConfidenceCriteria(0.1)
    answers = []
    for _ in range(20):
        scores = 2 * torch.randn(6, 9, generator=rng)
        ids = torch.randint(0, 9, (6, 4), generator=rng)
        lengths = torch.randint(1, 5, (6,), generator=rng)
        got = rule(ids, scores, lengths=lengths)
        for row in range(6):
            alone = theirs(ids[row : row + 1, : lengths[row]], (scores[row : row + 1],))
            assert bool(got[row]) is alone
        answers += got.tolist()
    assert 20 < sum(answers) < 110


def test_a_threshold_of_zero_ends_nothing(build):
    scores = torch.tensor([[0.0, -torch.inf]])
    ids = torch.tensor([[1]])
    assert build("confidence", {"threshold": 0})(ids, scores).tolist() == [False]
    assert build("confidence", {"threshold": 1e-9})(ids, scores).tolist() == [True]
