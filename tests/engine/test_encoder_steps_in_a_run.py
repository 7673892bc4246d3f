"""Steps that read the encoder's text, in runs of an encoder-decoder: a row is the row alone, however it is padded."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from seq2seq_models import PAD, seq2seq

from decodery import Decoder, Pipeline
from decodery.contracts.errors import InvalidInput
from decodery.testing import TableModel

PROMPTS = [[11, 12, 13, 14, 5], [21, 5], [31, 32, 31, 5]]
STEPS: dict[str, dict[str, Any]] = {
    "encoder_repetition_penalty": {"penalty": 5.0},
    "encoder_no_repeat_ngram": {"ngram_size": 1},
}


@pytest.mark.parametrize("step", STEPS)
def test_the_encoders_padding_is_never_seen(step: str) -> None:
    """The pad id is what the padding would ban or favour, if it were seen."""
    pipe = Pipeline().add(step, **STEPS[step])
    decoder = Decoder(seq2seq("t5"), pipe, eos_token_id=79, pad_token_id=PAD)
    batch = decoder.generate(PROMPTS, max_new_tokens=8, return_scores=True)
    plain = Decoder(seq2seq("t5"), eos_token_id=79, pad_token_id=PAD)
    without = plain.generate(PROMPTS, max_new_tokens=8, return_scores=True)
    assert not any(map(torch.equal, batch.scores, without.scores))
    for row, prompt in enumerate(PROMPTS):
        alone = decoder.generate([prompt], max_new_tokens=8, return_scores=True)
        assert alone.tokens[0] == batch.tokens[row]
        assert alone.scores[0].isneginf().equal(batch.scores[row].isneginf())


def test_samples_of_a_prompt_share_its_encoders_text() -> None:
    pipe = Pipeline().add("encoder_no_repeat_ngram", 1).with_strategy("sample", seed=1)
    rows = Decoder(seq2seq("t5"), pipe, eos_token_id=79).generate(PROMPTS, n=3, max_new_tokens=30)
    for row in rows:
        assert not set(row.tokens) & set(PROMPTS[row.prompt_index])


def test_a_model_without_an_encoder_is_told_of() -> None:
    pipe = Pipeline().add("encoder_no_repeat_ngram", 2)
    with pytest.raises(InvalidInput, match="'encoder_no_repeat_ngram' needs encoder_ids"):
        Decoder(TableModel(30), pipe, vocab_size=30).generate([[1]])
