"""Whose random numbers are whose."""

from __future__ import annotations

import torch
from engine_support import (
    CPU,
)

from decodery.engine.rng import RowRng, StepRng, torch_rng


def _rng(keys: list[int], samples: list[int] | None = None, step: int = 0) -> RowRng:
    count = len(keys)
    return RowRng(torch.tensor(keys), torch.tensor(samples or [0] * count), torch.full((count,), step))


def test_looking_ahead_is_drawing_what_comes_later() -> None:
    scores = torch.randn(3, 200, generator=torch.Generator().manual_seed(1))
    now, later = _rng([1, 2, 3]), _rng([1, 2, 3], step=4)
    assert torch.equal(now.categorical(scores, ahead=4), later.categorical(scores))
    mine, mine_later = StepRng(now, "step", row=1), StepRng(later, "step", row=1)
    assert torch.equal(mine.uniform(ahead=4), mine_later.uniform())
    assert torch.equal(mine.categorical(scores[1:2], ahead=4), mine_later.categorical(scores[1:2]))


def test_a_rows_sample_number_goes_with_it() -> None:
    rng = _rng([5, 5], [0, 1])
    before = rng.uniform()
    rows = torch.tensor([1, 0])
    rng.select(rows, torch.zeros_like(rows), rng.steps[rows])
    assert torch.equal(rng.uniform(), before[[1, 0]])


def test_forks_differ_by_their_whole_key_by_their_step_and_by_their_number() -> None:
    def forked(keys: list[int], step: int) -> list[float]:
        rng = _rng(keys, step=step)
        rows = torch.zeros(3, dtype=torch.int64) if len(keys) == 1 else torch.tensor([0, 0, 1, 1])
        copies = torch.tensor([0, 1, 2]) if len(keys) == 1 else torch.tensor([0, 1, 0, 1])
        rng.select(rows, copies, torch.full((len(rows),), 9))
        keys_now: list[float] = rng.row_keys.tolist()
        return keys_now

    assert len(set(forked([5, 5 + 2**32], 0))) == 4
    assert len(set(forked([5], 0))) == 3

    def at(step: int) -> int:
        rng = _rng([5])
        rng.select(torch.tensor([0, 0]), torch.tensor([0, 1]), torch.full((2,), step))
        return int(rng.row_keys[1])

    assert at(3) != at(4)


def test_hfs_numbers_come_from_its_generator_for_the_rows_that_there_are() -> None:
    before = torch.get_rng_state()
    rng = torch_rng(2, CPU, 7)
    expected = torch.rand(2, dtype=torch.float64, generator=torch.Generator().manual_seed(7))
    assert torch.equal(rng.uniform(), expected)
    assert torch.equal(torch.get_rng_state(), before)
    rows = torch.tensor([0, 1, 1])
    rng.select(rows, rows, rows)
    assert rng.uniform().shape == (3,)
