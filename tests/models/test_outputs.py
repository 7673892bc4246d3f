"""Whatever models return, logits come out as (B, T', V)."""

from __future__ import annotations

from collections import namedtuple
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from decodery.contracts.errors import ModelError
from decodery.models.outputs import as_logits, last

B, T, V = 2, 3, 5
FULL = torch.arange(B * T * V, dtype=torch.float32).view(B, T, V)
LOSS = torch.tensor(0.7)
Answer = namedtuple("Answer", ["hidden", "logits"])


@pytest.mark.parametrize(
    "output",
    [
        FULL,
        (FULL, None),
        (None, FULL),
        [FULL, torch.zeros(B, T, 16)],
        (LOSS, FULL),
        (torch.zeros(B, T, dtype=torch.long), FULL),
        SimpleNamespace(logits=FULL),
        {"loss": LOSS, "logits": FULL},
        Answer(torch.zeros(B, T, 16), FULL),
        [FULL[:, :2], FULL[:, 2:]],
        (FULL, FULL.clone()),
    ],
)
def test_logits_are_found_in_every_common_answer(output: Any) -> None:
    assert torch.equal(as_logits(output, B, T), FULL)


@pytest.mark.parametrize("output", [FULL.transpose(0, 1), FULL.transpose(0, 1).reshape(B * T, V)])
def test_time_first_answers_are_turned(output: torch.Tensor) -> None:
    assert torch.equal(as_logits(output, B, T, time_first=True), FULL)


def test_answers_that_fold_the_batch_are_unfolded() -> None:
    assert torch.equal(as_logits(FULL.view(B * T, V), B, T), FULL)
    assert torch.equal(as_logits(FULL[0], 1, T), FULL[:1])
    assert torch.equal(as_logits(FULL[0, -1], 1, T), FULL[:1, -1:])


@pytest.mark.parametrize("output", [FULL[:, -1], FULL[:, -1:], (FULL[:, -1], None)])
def test_answers_for_the_last_position_only_get_a_time_axis(output: Any) -> None:
    assert torch.equal(as_logits(output, B, T), FULL[:, -1:])


def test_the_last_position_is_counted_from_the_end() -> None:
    assert torch.equal(last(as_logits(FULL[:, -1:], B, T)), FULL[:, -1])
    assert torch.equal(last(as_logits(FULL, B, T)), FULL[:, -1])


@pytest.mark.parametrize(
    ("output", "named"),
    [
        (None, "returned None"),
        ("text", "a str"),
        ((), "an empty tuple"),
        ({"loss": LOSS}, "the keys 'loss'"),
        (LOSS, r"a float32 tensor of shape \(\)"),
        (torch.zeros(B, T, dtype=torch.long), "whole numbers are token ids"),
        (torch.zeros(T, B, V), r"tensor of shape \(3, 2, 5\)"),
        (torch.zeros(B * T + 1, V), r"tensor of shape \(7, 5\)"),
        (torch.zeros(B, 0, V), r"tensor of shape \(2, 0, 5\)"),
        (torch.zeros(V), r"tensor of shape \(5,\)"),
    ],
)
def test_anything_else_is_refused_by_its_type_and_shape(output: Any, named: str) -> None:
    with pytest.raises(ModelError, match=named) as caught:
        as_logits(output, B, T, "MyModel")
    assert "MyModel" in caught.value.message
    assert caught.value.remedy


def test_the_remedy_fits_the_shape() -> None:
    with pytest.raises(ModelError, match="time-first"):
        as_logits(torch.zeros(T, B, V), B, T)
