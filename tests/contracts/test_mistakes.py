"""What is said of a wrong parameter: one mistake, once, in words that are no library's."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import SequenceBiasLogitsProcessor

from decodery import Pipeline
from decodery.contracts.errors import InvalidParams

SAID: list[tuple[str, Any, list[str], str]] = [
    ("bad_words", [], ["ids = []: at least one is needed"], ""),
    ("bad_words", [[-1]], ["ids.0.0 = -1: input should be greater than or equal to 0"], ""),
    ("bad_words", [[3], []], ["ids.1 = []: at least one is needed"], ""),
    ("bad_words", 5, ["ids = 5: input should be a list"], "write it in brackets"),
    (
        "bad_words",
        [5, [-2]],
        ["ids.0 = 5: input should be a list", "ids.1.0 = -2: ..."],
        "write it in brackets",
    ),
    ("exponential_decay_length_penalty", [3], ["decay = [3]: too few values"], ""),
]


@pytest.mark.parametrize(("name", "value", "messages", "remedy"), SAID)
def test_a_mistake_is_told_once(name: str, value: Any, messages: list[str], remedy: str) -> None:
    with pytest.raises(InvalidParams) as caught:
        Pipeline().add(name, value)
    told = [problem.message for problem in caught.value.problems]
    assert len(told) == len(messages)
    for found, wanted in zip(told, messages, strict=True):
        assert found.startswith(wanted.removesuffix("..."))
    assert caught.value.remedy == remedy


def test_what_may_be_one_of_several_kinds_is_one_mistake() -> None:
    with pytest.raises(InvalidParams) as caught:
        Pipeline().with_strategy("beam", num_beams=2, early_stopping="maybe")
    (problem,) = caught.value.problems
    assert problem.path == "early_stopping"
    assert problem.message == "early_stopping = 'maybe': input should be a valid boolean or 'never'"


def test_a_bias_may_be_transformers_dict() -> None:
    bias = {(5,): 2.0, (6, 7): -3.0}
    pipe = Pipeline().add("sequence_bias", bias)
    assert pipe == Pipeline().add("sequence_bias", [[[5], 2.0], [[6, 7], -3.0]])
    x, logits = torch.tensor([[1, 6]]), torch.zeros(1, 9)
    assert torch.equal(pipe(x, logits), SequenceBiasLogitsProcessor(bias)(x, logits))
