"""Histories that are kept as tokens come equal what a fresh look at the ids finds, whatever happens to the rows."""

from __future__ import annotations

import copy
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from decodery.contracts.lowering import Seen
from decodery.kernels.history import NewestTokens, SeenTokens

PROMPTS = [[1, 2, 3, 2], [4], [5, 5, 6]]


def padded(rows: list[list[int]]) -> tuple[Tensor, Tensor]:
    """((R, T) int64 right-padded, (R,) int64)."""
    width = max(map(len, rows))
    return (
        torch.tensor([row + [99] * (width - len(row)) for row in rows]),
        torch.tensor([len(row) for row in rows]),
    )


def as_sets(found: tuple[Tensor, Tensor]) -> list[dict[int, float]]:
    """What an edit touches, a row."""
    ids, values = found
    values = values.expand(ids.shape)
    return [
        {i: v for i, v in zip(row, numbers, strict=True) if i >= 0}
        for row, numbers in zip(ids.tolist(), values.tolist(), strict=True)
    ]


def expected(rows: list[list[int]], prompts: list[int], seen: Seen) -> list[dict[int, float]]:
    """The definition, from the ids alone."""
    found = []
    for row, prompt in zip(rows, prompts, strict=True):
        slots = range(len(row))[-seen.window :] if seen.window else range(len(row))
        kept = [
            row[slot] for slot in slots if seen.scope == "all" or (slot < prompt) is (seen.scope == "prompt")
        ]
        found.append({t: seen.value * (n if seen.times else 1) for t, n in Counter(kept).items()})
    return found


def play(source: Any, check: Callable[[list[list[int]], list[int]], None], seed: int) -> None:
    """Append, reorder, fork, drop and take back at random; `check` after each."""
    chance = random.Random(seed)
    rows, prompts = [list(p) for p in PROMPTS], [len(p) for p in PROMPTS]
    if hasattr(source, "begin"):
        source.begin(*padded(rows))
    for _ in range(60):
        move = chance.choice(("append", "append", "append", "select", "rewind"))
        if move == "append":
            tokens, active = [chance.randrange(9) for _ in rows], [chance.random() < 0.8 for _ in rows]
            for row, token, on in zip(rows, tokens, active, strict=True):
                row.extend([token] if on else [])
            if hasattr(source, "observe"):
                source.observe(torch.tensor(tokens), torch.tensor(active))
        elif move == "select":
            places = [chance.randrange(len(rows)) for _ in range(chance.choice((2, 3, 4)))]
            rows, prompts = [list(rows[p]) for p in places], [prompts[p] for p in places]
            source.select(torch.tensor(places))
        else:
            counts = [chance.randint(0, len(r) - p) for r, p in zip(rows, prompts, strict=True)]
            rows = [row[: len(row) - n] for row, n in zip(rows, counts, strict=True)]
            if hasattr(source, "rewind"):
                source.rewind(torch.tensor(counts))
        check(rows, prompts)


@pytest.mark.parametrize("times", [False, True])
@pytest.mark.parametrize("scope", ["all", "prompt", "output"])
@pytest.mark.parametrize("window", [None, 3])
def test_seen_tokens_follow_their_rows(scope: Any, window: int | None, times: bool) -> None:
    seen = Seen(1.5, window=window, scope=scope, times=times)
    for seed in range(5):
        lengths = torch.tensor([len(p) for p in PROMPTS])
        source: Any = NewestTokens(seen) if window else SeenTokens(seen, lengths)

        def check(rows: list[list[int]], prompts: list[int], source: Any = source) -> None:
            more = (torch.tensor(prompts),) if window else ()
            assert as_sets(source.edits(*padded(rows), *more)) == expected(rows, prompts, seen)

        play(source, check, seed)


def test_a_copy_that_begins_anew_leaves_the_first_alone() -> None:
    source = SeenTokens(Seen(2.0), torch.tensor([2]))
    source.begin(torch.tensor([[1, 2]]), torch.tensor([2]))
    twin = copy.copy(source)
    twin.begin(torch.tensor([[7]]), torch.tensor([1]))
    twin.observe(torch.tensor([8]), torch.tensor([True]))
    assert as_sets(source.edits(torch.tensor([[1, 2]]), torch.tensor([2]))) == [{1: 2.0, 2: 2.0}]
