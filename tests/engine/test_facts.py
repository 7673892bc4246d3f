"""The facts that steps are handed."""

from __future__ import annotations

import pytest
import torch
from engine_support import (
    HOST,
    VOCAB,
    Told,
)

from decodery import Decoder, Pipeline
from decodery.contracts.errors import (
    InvalidInput,
)
from decodery.testing import TableModel


def test_steps_are_told_the_facts_that_they_ask_for_each_row_its_own() -> None:
    Told.built.clear()
    pipe = Pipeline(host=HOST).add("told_length")
    Decoder(TableModel(VOCAB), pipe, vocab_size=VOCAB, max_length=50, pad_token_id=4, host=HOST).generate(
        [[1]], max_new_tokens=1
    )
    assert Told.built == [{"max_length": 50, "pad": 4}]
    Told.built.clear()
    x = torch.tensor([[1], [2]])
    pipe.bind(prompt=x[:1], max_length=51, pad_token_id=5)
    assert Told.built == [{"max_length": 51, "pad": 5}]
    Told.built.clear()
    Pipeline(host=HOST).add("told_encoder").bind(prompt=x, encoder_ids=torch.tensor([[6, 7], [8, 9]]))
    assert [facts["encoder_ids"].tolist() for facts in Told.built] == [[[6, 7]], [[8, 9]]]
    Told.built.clear()
    decoder = Decoder(TableModel(VOCAB), Pipeline(host=HOST).add("told_prompt"), vocab_size=VOCAB, host=HOST)
    decoder.generate([[1], [2, 3]], max_new_tokens=1)
    assert [facts["prompt_lengths"].tolist() for facts in Told.built] == [[1], [2]]


def test_a_fact_that_is_not_known_is_asked_for_by_name() -> None:
    pipe = Pipeline(host=HOST).add("told_encoder")
    with pytest.raises(InvalidInput, match="needs encoder_ids"):
        Decoder(TableModel(VOCAB), pipe, vocab_size=VOCAB, host=HOST).generate([[1]])
    with pytest.raises(InvalidInput, match="tokenizer"):
        Decoder(TableModel(VOCAB), Pipeline().stop("stop_strings", ["x"]), vocab_size=VOCAB).generate([[1]])
