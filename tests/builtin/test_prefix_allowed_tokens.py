"""Only what a function of the text so far allows: as in transformers, row by row."""

from __future__ import annotations

import pytest
import torch
from transformers.generation.logits_process import PrefixConstrainedLogitsProcessor

from decodery import Decoder, Pipeline
from decodery.contracts.errors import InvalidInput, NotSerializable
from decodery.testing import TableModel

V = 12


def _allowed(prompt, ids):
    return [prompt, int(ids[-1]), len(ids) % V]


def test_it_equals_the_class_of_transformers(build):
    rng = torch.Generator().manual_seed(0)
    for width in range(1, 9):
        ids = torch.randint(0, V, (4, width), generator=rng)
        scores = torch.randn(4, V, generator=rng)
        scores[2, _allowed(2, ids[2])] = -torch.inf  # unsatisfiable: transformers lets them live again
        step = build("prefix_allowed_tokens", {"fn": _allowed}, prompt_index=torch.arange(4))
        assert torch.equal(step(ids, scores), PrefixConstrainedLogitsProcessor(_allowed, 1)(ids, scores))


def test_the_function_sees_its_row_without_padding_and_the_number_of_its_prompt(build):
    seen = []
    step = build(
        "prefix_allowed_tokens",
        {"prefix_allowed_tokens_fn": lambda prompt, ids: seen.append((prompt, ids.tolist())) or [1]},
        prompt_index=torch.tensor([0, 0, 1]),
    )
    ids = torch.tensor([[1, 2, 3], [4, 9, 9], [5, 6, 9]])
    step(ids, torch.zeros(3, V), lengths=torch.tensor([3, 1, 2]))
    assert sorted(seen) == [(0, [1, 2, 3]), (0, [4]), (1, [5, 6])]
    seen.clear()
    rows = torch.tensor([2, 0])
    step.select(rows)
    step(ids[rows], torch.zeros(2, V), lengths=torch.tensor([2, 3]))
    assert sorted(seen) == [(0, [1, 2, 3]), (1, [5, 6])]


def test_in_a_run_samples_of_a_prompt_share_its_number():
    seen = set()
    pipe = Pipeline().add("prefix_allowed_tokens", lambda prompt, ids: seen.add(prompt) or [prompt, 7])
    decoder = Decoder(TableModel(V), pipe.with_strategy("sample", seed=1), vocab_size=V)
    rows = decoder.generate([[1, 2], [3]], n=3, max_new_tokens=6)
    assert seen == {0, 1}
    for row in rows:
        assert set(row.tokens) <= {row.prompt_index, 7}


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ([], r"nothing is allowed after \[1, 2\] in prompt 0"),
        ([1, V], rf"\[{V}\] are outside the vocabulary"),
    ],
)
def test_an_answer_that_cannot_be_is_told(answer, message, build):
    step = build("prefix_allowed_tokens", {"fn": lambda *_: answer})
    with pytest.raises(InvalidInput, match=message):
        step(torch.tensor([[1, 2]]), torch.zeros(1, V))


def test_a_function_is_not_written_to_yaml():
    pipe = Pipeline().add("prefix_allowed_tokens", _allowed)
    with pytest.raises(NotSerializable, match="prefix_allowed_tokens"):
        pipe.to_recipe().to_yaml()
