"""Histories in C++ equal their twins in Python, whatever happens to the rows."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from decodery.builtin.lowerings.ngrams import Ngrams

native = pytest.importorskip("decodery_native.backend", reason="decodery-native was not built")


def ngrams(chance: random.Random) -> Any:
    return Ngrams(chance.choice((1, 2, 3, 4)))


def dry(chance: random.Random) -> Any:
    repeated = pytest.importorskip("decodery_samplers.penalties.dry_edits").Repeated
    breakers = frozenset({5} if chance.random() < 0.5 else ())
    return repeated(0.8, 1.75, chance.choice((1, 2, 3)), chance.choice((3, 4, 9, 60)), breakers, None)


def as_sets(found: tuple[Tensor, Tensor], rows: int) -> list[dict[int, float]]:
    """What an edit touches, a row."""
    ids, values = found[0].expand(rows, -1), found[1].expand(rows, found[0].shape[1])
    return [
        {i: v for i, v in zip(row, numbers, strict=True) if i >= 0}
        for row, numbers in zip(ids.tolist(), values.tolist(), strict=True)
    ]


@pytest.mark.parametrize("make", [ngrams, dry])
def test_a_history_in_cpp_is_its_twin(make: Callable[[random.Random], Any]) -> None:
    touched = 0
    for seed in range(80):
        chance = random.Random(seed)
        twin = make(chance)
        both = (twin, native.NativeBackend().history(twin.follows))
        lengths = [chance.randrange(1, 30) for _ in range(3)]
        ids = torch.tensor([[chance.randrange(7) for _ in range(max(lengths))] for _ in lengths])
        for one in both:
            one.begin(ids, torch.tensor(lengths))
        for _ in range(60):
            move = chance.choice(("append", "append", "append", "select", "rewind"))
            if move == "append":
                tokens = torch.tensor([chance.randrange(7) for _ in lengths])
                active = torch.tensor([chance.random() < 0.8 for _ in lengths])
                for one in both:
                    one.observe(tokens, active)
                lengths = [n + on for n, on in zip(lengths, active.tolist(), strict=True)]
            elif move == "select":
                places = [chance.randrange(len(lengths)) for _ in range(chance.choice((2, 3, 4)))]
                for one in both:
                    one.select(torch.tensor(places))
                lengths = [lengths[place] for place in places]
            else:
                counts = [chance.randint(0, length) for length in lengths]
                for one in both:
                    one.rewind(torch.tensor(counts))
                lengths = [n - count for n, count in zip(lengths, counts, strict=True)]
            told = [as_sets(one.edits(ids, torch.tensor(lengths)), len(lengths)) for one in both]
            assert told[0] == told[1]
            touched += sum(map(len, told[0]))
    assert touched > 2000


def test_pads_in_front_are_nobodys() -> None:
    repeated = pytest.importorskip("decodery_samplers.penalties.dry_edits").Repeated
    twin = repeated(1.0, 2.0, 1, 20, frozenset(), torch.tensor([2, 0]))
    ids = torch.tensor([[7, 7, 1, 2, 1], [7, 7, 1, 2, 1]])
    ours = native.NativeBackend().history(twin.follows)
    for one in (twin, ours):
        one.begin(ids, torch.tensor([5, 5]))
        one.observe(torch.tensor([7, 7]), torch.tensor([True, True]))
    told = [as_sets(one.edits(ids, torch.tensor([6, 6])), 2) for one in (twin, ours)]
    assert told[0] == told[1] == [{}, {7: -1.0, 1: -1.0}]
