"""What is handed over with a model is looked at, and what is no model is told what it is."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
import zoo
from adapters import connected
from test_sessions import IDS, same, truth
from torch import Tensor, nn

from decodery.contracts.errors import DecoderyError, InvalidInput, ModelError
from decodery.models.outputs import as_logits


@pytest.mark.parametrize(
    ("option", "adapter", "remedy"),
    [
        ("zzz", "stateless", "vocab_size"),
        ("verfy", "input_pos", "did you mean 'verify'"),
        ("max_lenght", "stateless", "did you mean 'max_length'"),
    ],
)
def test_an_option_that_an_adapter_does_not_have_is_refused(option: str, adapter: str, remedy: str) -> None:
    with pytest.raises(InvalidInput, match=option) as caught:
        connected(zoo.Demo(), {"name": adapter, option: 1})
    assert remedy in caught.value.remedy
    with pytest.raises(ModelError, match=option):
        connected(zoo.NanoGPT(), {"name": "auto", option: 1})


def test_the_facts_that_a_decoder_passes_on_are_options_of_all() -> None:
    facts = {"eos_token_id": 1, "bos_token_id": 2, "pad_token_id": 3, "device": "cpu", "max_length": 8}
    for adapter in ("stateless", "input_pos"):
        assert connected(zoo.Demo(), adapter, **facts)[0].facts.eos == (1,)


@pytest.mark.parametrize("name", ["max_length", "vocab_size"])
@pytest.mark.parametrize("value", [0, -3, 2.5, "12", True])
def test_a_size_is_a_whole_number_from_one_on(name: str, value: object) -> None:
    with pytest.raises(InvalidInput, match=name):
        connected(zoo.NanoGPT(), **{name: value})


@pytest.mark.parametrize("adapter", ["auto", "stateless", "input_pos"])
def test_a_vocabulary_larger_than_the_logits_is_refused_with_both_numbers(adapter: str) -> None:
    with pytest.raises(ModelError, match=rf"(?s)\b50\b.*\b{zoo.VOCAB}\b"):
        connected(zoo.Demo(), adapter, vocab_size=50)


@pytest.mark.parametrize("adapter", ["stateless", "input_pos"])
def test_ids_beyond_a_smaller_vocabulary_have_no_logits(adapter: str) -> None:
    model = zoo.Demo()
    decodable, report = connected(model, adapter, vocab_size=30)
    assert decodable.facts.vocab_size == 30
    assert report.warnings == ()
    session = decodable.open(3, 14)
    same(session.prefill(IDS[:, :4]), truth(model)[:, 3, :30])
    same(session.step(IDS[:, 4:5]), truth(model)[:, 4:5, :30])
    session.close()


def test_transformers_models_are_held_to_the_vocabulary_too() -> None:
    hf = pytest.importorskip("transformers")
    model = hf.GPT2LMHeadModel(hf.GPT2Config(vocab_size=97, n_embd=32, n_layer=1, n_head=4, n_positions=64))
    with pytest.raises(ModelError, match=r"(?s)\b100\b.*\b97\b"):
        connected(model, "hf", vocab_size=100)
    session = connected(model, "hf", vocab_size=90)[0].open(3, 14)
    assert session.prefill(IDS[:, :4]).shape == (3, 90)
    assert session.step(IDS[:, 4:5]).shape == (3, 1, 90)
    session.close()


def test_a_model_of_ones_own_is_no_transformers_model() -> None:
    model = zoo.NanoGPT()
    assert isinstance(model.config, SimpleNamespace)
    with pytest.raises(ModelError, match="no transformers model"):
        connected(model, "hf")


@pytest.mark.parametrize("adapter", ["auto", "stateless"])
@pytest.mark.parametrize(
    ("model", "message", "remedy"),
    [
        (zoo.Demo, "Demo is a class", "hand over an instance"),
        ("demo", "'demo' is a name", "decodery generate -m demo"),
        (nn.Linear(2, 2, device="meta"), "meta device: it has no weights", "to_empty"),
        (lambda ids: torch.zeros(*ids.shape, 7).numpy(), "ndarray", "torch.from_numpy"),
        (lambda ids: torch.zeros(*ids.shape, 7, dtype=torch.complex64), "complex numbers", ".real"),
    ],
)
def test_what_is_no_model_is_told_what_it_is(model: object, message: str, remedy: str, adapter: str) -> None:
    with pytest.raises(DecoderyError, match=message) as caught:
        connected(model, adapter)
    assert remedy in caught.value.remedy


def test_whole_numbers_are_still_taken_for_ids() -> None:
    ids: Tensor = torch.zeros(1, 4, dtype=torch.long)
    with pytest.raises(ModelError, match="token ids"):
        as_logits(ids, 1, 4)
