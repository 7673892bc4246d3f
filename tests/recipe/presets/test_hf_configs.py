"""generation_config.json and GenerationConfig objects: what transformers builds of them is what the recipe says."""

from __future__ import annotations

import json

import pytest
from transformers import GPT2Config, GPT2LMHeadModel

from decodery.contracts.errors import UnknownName
from decodery.host.registry import Host
from decodery.recipe import foreign

HOST = Host("")

LLAMA = """
{
  "bos_token_id": 128000,
  "do_sample": true,
  "eos_token_id": [128001, 128008, 128009],
  "temperature": 0.6,
  "top_p": 0.9,
  "transformers_version": "4.42.3"
}
"""
TRANSLATOR = """
{
  "_from_model_config": true,
  "bad_words_ids": [[58100]],
  "bos_token_id": 0,
  "decoder_start_token_id": 58100,
  "eos_token_id": 0,
  "forced_eos_token_id": 0,
  "max_length": 512,
  "num_beams": 4,
  "pad_token_id": 58100,
  "transformers_version": "4.32.0.dev0"
}
"""


@pytest.fixture(scope="module")
def model() -> GPT2LMHeadModel:
    config = GPT2Config(n_layer=1, n_head=1, n_embd=8, vocab_size=40, n_positions=512)
    return GPT2LMHeadModel(config)


def has(name: str) -> bool:
    try:
        HOST.step(name)
    except UnknownName:
        return False
    return True


# -- two files from the world -------------------------------------------------------------------------------------


def test_a_chat_models_file_is_its_sampling_with_the_top_k_that_nobody_wrote() -> None:
    found = foreign.loads(LLAMA, "hf", host=HOST)
    assert (
        found.recipe.to_yaml()
        == """\
recipe: 1
compat: hf
strategy: sample
processors:
  - temperature: 0.6
  - top_k: 50
  - top_p: 0.9
stop:
  - eos
  - max_new_tokens: 20
"""
    )
    assert found.decoder == {"eos_token_id": [128001, 128008, 128009]}
    by_key = {line.key: line for line in found.carried}
    assert set(by_key) == {*json.loads(LLAMA), "top_k", "max_new_tokens"}
    assert by_key["top_k"].value == ""
    assert "default" in by_key["top_k"].note
    assert by_key["temperature"].status == "exact"
    assert by_key["eos_token_id"].status == "approximated"
    assert by_key["bos_token_id"].status == "dropped"


def test_a_translators_file_says_what_it_needs() -> None:
    found = foreign.loads(TRANSLATOR, "hf", host=HOST)
    by_key = {line.key: line for line in found.carried}
    assert set(json.loads(TRANSLATOR)) <= set(by_key)
    assert [step.spec.name for step in found.recipe.stop] == ["eos", "max_length"]
    assert "bad_words" in [step.spec.name for step in found.recipe.processors]
    assert found.decoder == {"eos_token_id": [0], "pad_token_id": 58100}
    for key in ("num_beams", "forced_eos_token_id"):
        assert by_key[key].status == ("exact" if by_key[key].into else "dropped")
