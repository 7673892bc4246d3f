"""Bound and unbound pipelines beyond the memo."""

from __future__ import annotations

import pytest
import torch
from engine_support import (
    HOST,
)

from decodery import Pipeline
from decodery.contracts.errors import (
    InvalidInput,
    NeedsBind,
)


def test_an_unbound_draw_follows_from_seed_row_and_length() -> None:
    pipe, logits = Pipeline().with_strategy("sample", seed=3), torch.zeros(8, 1000)
    short, long = torch.ones(8, 2, dtype=torch.int64), torch.ones(8, 3, dtype=torch.int64)
    drawn = pipe.pick(short, logits)
    assert len(set(drawn.tolist())) > 4
    assert torch.equal(pipe.pick(short, logits), drawn)
    assert not torch.equal(pipe.pick(long, logits), drawn)
    assert not torch.equal(pipe.with_strategy("sample", seed=4).pick(short, logits), drawn)


def test_a_seed_in_hfs_layout_draws_what_manual_seed_would() -> None:
    x, logits = torch.tensor([[1], [2]]), torch.zeros(2, 1000)
    pipe = Pipeline().compat("hf").with_strategy("sample", seed=3)
    torch.manual_seed(3)
    expected = torch.multinomial(logits.softmax(-1), 1).squeeze(1)  # (R, 1) -> (R,)
    assert torch.equal(pipe.pick(x, logits), expected)
    assert torch.equal(pipe.bind(prompt=x).pick(x, logits), expected)


def test_equal_rows_of_a_bound_batch_draw_apart_and_its_seed_is_the_recipes_unless_given() -> None:
    x, logits = torch.ones(6, 1, dtype=torch.int64), torch.zeros(6, 1000)
    pipe = Pipeline().with_strategy("sample", seed=3)
    drawn = pipe.bind(prompt=x).pick(x, logits)
    assert len(set(drawn.tolist())) > 3
    assert torch.equal(pipe.bind(prompt=x, seed=3).pick(x, logits), drawn)
    assert not torch.equal(pipe.bind(prompt=x, seed=4).pick(x, logits), drawn)


def test_a_bound_pipeline_is_for_the_rows_it_was_bound_to() -> None:
    bound = Pipeline().bind(prompt=torch.tensor([[1], [2]]))
    with pytest.raises(InvalidInput, match="bound to 2 rows"):
        bound(torch.tensor([[1]]), torch.zeros(1, 5))


def test_any_stop_rule_ends_a_row_of_a_bound_pipeline() -> None:
    x = torch.tensor([[1, 3], [1, 4]])
    bound = Pipeline().stop("stop_token_ids", [3]).stop("stop_token_ids", [5]).bind(prompt=x[:, :1])
    assert bound.stopped(x, torch.zeros(2, 9)).tolist() == [True, False]


def test_a_strategy_that_owns_its_loop_cannot_pick() -> None:
    pipe, x = Pipeline(host=HOST).with_strategy("script"), torch.tensor([[1]])
    with pytest.raises(NeedsBind, match="owns its loop"):
        pipe.pick(x, torch.zeros(1, 5))
    with pytest.raises(NeedsBind, match="owns its loop"):
        pipe.bind(prompt=x).pick(x, torch.zeros(1, 5))
