"""Edits touch what their steps touch: a fused greedy run against the steps themselves, row by row."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest
import torch
from torch import Tensor

from decodery import Pipeline
from decodery.builtin.lowerings.ngrams import Ngrams
from decodery.contracts.errors import InvalidInput

VOCAB = 12
STEPS: dict[str, dict[str, Any]] = {
    "repetition_penalty": {"penalty": 1.7},
    "no_repeat_ngram": {"ngram_size": 3},
    "min_new_tokens": {"min_new_tokens": 4},
    "bad_words": {"ids": [[3], [5, 6], [1, 2, 7], [11]]},
    "suppress_tokens": {"ids": [1, 7, 8]},
    "begin_suppress_tokens": {"ids": [0, 1, 2, 3, 4, 5]},
    "min_length": {"min_length": 9},
    "encoder_repetition_penalty": {"penalty": 1.6},
    "renormalize": {},
    "sequence_bias": {"pairs": [[[3], 2.5], [[5, 6], -1.25], [[4, 6], 9.5], [[6], 0.1], [[1, 2, 7], 3.0]]},
}


@pytest.mark.parametrize("name", STEPS)
def test_a_bound_run_has_the_steps_own_tokens_and_draws(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(name)
    for seed in range(6):
        prompt = torch.tensor([[chance.randrange(VOCAB) for _ in range(5)] for _ in range(2)])
        first = name != "renormalize"  # which comes last: before a cut it looks at every token
        pipe = Pipeline().add("top_k", 5).add(name, at=0 if first else 1, **STEPS[name])
        pipe = pipe.with_strategy("sample", seed=seed)
        pipe = pipe if seed % 2 else pipe.with_strategy("greedy")
        monkeypatch.setenv("DECODERY_KERNELS", "torch")
        facts: dict[str, Any] = {"vocab_size": VOCAB, "eos_token_id": [2, 9], "encoder_ids": prompt[:, :3]}
        fused = pipe.bind(prompt, **facts)
        monkeypatch.setenv("DECODERY_KERNELS", "reference")
        plain = pipe.bind(prompt, **facts)
        assert fused.plan.choice.name == "torch"
        generator = torch.Generator().manual_seed(seed)
        x = prompt
        for _ in range(40):
            logits = torch.randn(2, VOCAB, generator=generator)
            expected = plain.pick(x, logits)
            assert torch.equal(fused.pick(x, logits), expected)
            x = torch.cat((x, torch.randint(0, VOCAB, (2, 1), generator=generator)), dim=1)


@pytest.mark.parametrize("name", ["bad_words", "sequence_bias", "suppress_tokens"])
def test_ids_outside_the_vocabulary_are_refused_with_kernels_too(name: str) -> None:
    values = {
        "bad_words": {"ids": [[VOCAB]]},
        "sequence_bias": {"pairs": [[[VOCAB], 1.0]]},
        "suppress_tokens": {"ids": [VOCAB]},
    }[name]
    with pytest.raises(InvalidInput, match="outside the vocabulary"):
        Pipeline().add(name, **values).bind(torch.tensor([[1]]), eos_token_id=2).pick(
            torch.tensor([[1]]), torch.zeros(1, VOCAB)
        )


def test_the_table_of_ngrams_follows_its_rows() -> None:
    chance = random.Random(1)
    rows: list[list[int]] = [[1, 2, 1], [3, 3]]
    table = Ngrams(2)
    table.begin(*_padded(rows))
    for _ in range(200):
        move = chance.choice(("append", "append", "select", "rewind"))
        if move == "append":
            tokens, active = [chance.randrange(4) for _ in rows], [chance.random() < 0.8 for _ in rows]
            for row, token, on in zip(rows, tokens, active, strict=True):
                row.extend([token] if on else [])
            table.observe(torch.tensor(tokens), torch.tensor(active))
        elif move == "select":
            places = [chance.randrange(len(rows)) for _ in range(chance.choice((1, 2, 3)))]
            rows = [list(rows[place]) for place in places]
            table.select(torch.tensor(places))
        else:
            counts = [chance.randint(0, len(row) // 2) for row in rows]
            rows = [row[: len(row) - count] for row, count in zip(rows, counts, strict=True)]
            table.rewind(torch.tensor(counts))
        found = [{i for i in row if i >= 0} for row in table.edits(*_padded(rows))[0].tolist()]
        assert found == [{b for a, b in itertools.pairwise(row) if a == row[-1]} for row in rows]


def _padded(rows: list[list[int]]) -> tuple[Tensor, Tensor]:
    width = max(map(len, rows), default=0)
    ids = torch.tensor([row + [0] * (width - len(row)) for row in rows], dtype=torch.int64)
    return ids.view(len(rows), width), torch.tensor([len(row) for row in rows])
