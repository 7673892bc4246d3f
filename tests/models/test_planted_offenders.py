"""Six ways of being wrong in silence: each is found, and the message names the remedy; the module is as it was."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import zoo
import zoo_more
from adapters import connected
from torch import nn

from decodery import Decoder
from decodery.contracts.errors import InvalidInput

OFFENDERS: dict[str, tuple[type[nn.Module], str, str]] = {
    # name: (model, what is said of it, the remedy that is named)
    "a cache that lies": (
        zoo.LyingCache,
        "steps with its cache are not those of the whole context",
        "adapter='stateless' feeds the whole context each step",
    ),
    "dropout left on": (zoo.DropoutLeftOn, "not deterministic", "give F.dropout training=self.training"),
    "hidden states for logits": (
        zoo.HiddenStates,
        "answers with 16 numbers a token, but its vocabulary should have 37",
        "adapter={'logits': model.head}",
    ),
    "a mask that is ignored": (
        zoo_more.MaskIgnored,
        "a left-padded row is not answered like the row alone",
        "a forward that heeds attention_mask",
    ),
    "a model that looks ahead": (zoo.NotCausal, "not causal", "is_causal=True"),
    "rows that are mixed": (zoo.MixedRows, "mixes rows", "adapter='rows' decodes them one by one"),
}


@pytest.mark.parametrize("offence", OFFENDERS)
def test_an_offender_is_found_and_the_remedy_named(offence: str) -> None:
    make, said, remedy = OFFENDERS[offence]
    text = str(connected(make())[1])
    assert said in text
    assert remedy in text


def test_the_remedy_for_hidden_states_mends_them() -> None:
    model = zoo.HiddenStates()
    assert connected(model, {"logits": model.head})[1].warnings == ()


def test_a_time_first_model_is_turned_or_told_how_to_be() -> None:
    assert "both ends were turned" in connected(zoo.TimeFirst())[1].evidence
    _, report = connected(zoo.TimeFirst(), "stateless")  # named, so that nothing is turned behind one's back
    (warning,) = report.warnings
    assert "time-first: it takes ids of shape (T, B)" in warning
    assert "adapter={'time_first': True}" in warning
    assert connected(zoo.TimeFirst(), {"name": "stateless", "time_first": True})[1].warnings == ()


class Words:
    """A tokenizer of letters."""

    def __init__(self, vocab_size: int) -> None:
        self.vocab_size = vocab_size

    def __len__(self) -> int:
        return self.vocab_size

    def encode(self, text: str, **kwargs: Any) -> list[int]:
        return [ord(letter) % self.vocab_size for letter in text]

    def decode(self, tokens: list[int], **kwargs: Any) -> str:
        return "".join(chr(65 + token) for token in tokens)


def test_a_vocabulary_narrower_than_the_tokenizer_is_refused() -> None:
    with pytest.raises(
        InvalidInput, match="the tokenizer has 38 tokens, the model's vocabulary 37"
    ) as caught:
        Decoder(zoo.NanoGPT(), tokenizer=Words(38))
    assert "the tokenizer that the model was trained with" in caught.value.remedy
    assert Decoder(zoo.NanoGPT(), tokenizer=Words(37)).generate("ab", max_new_tokens=2).texts


@pytest.mark.parametrize("make", [offender[0] for offender in OFFENDERS.values()] + [zoo.TimeFirst])
def test_an_offender_is_left_as_it_was_found(make: type[nn.Module]) -> None:
    model = make()
    model.train()
    model.head.eval()  # a flag of its own
    flags = {name: part.training for name, part in model.named_modules()}
    state = {name: value.clone() for name, value in model.state_dict().items()}
    own = {name: dict(part.__dict__) for name, part in model.named_modules()}
    drawn = torch.random.get_rng_state()
    connected(model)
    assert {name: part.training for name, part in model.named_modules()} == flags
    assert list(model.state_dict()) == list(state)
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    for name, part in model.named_modules():
        kept = {key: value for key, value in own[name].items() if not isinstance(value, (dict, int))}
        assert all(part.__dict__[key] is value for key, value in kept.items())
        assert part.__dict__.keys() == own[name].keys()
    assert torch.equal(torch.random.get_rng_state(), drawn)
