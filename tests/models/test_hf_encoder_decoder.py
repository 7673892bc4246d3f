"""transformers' encoder-decoders: the very logits that their own `generate` sees."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
import transformers as hf
from adapters import connected
from seq2seq_models import PAD, seq2seq
from torch import Tensor

from decodery.contracts.errors import InvalidInput, ModelError

NEW = 6


@pytest.fixture(params=["t5", "bart"])
def model(request: pytest.FixtureRequest) -> Any:
    return seq2seq(request.param)


def prompts(side: str = "none") -> tuple[Tensor, Tensor]:
    """(3, 7) ids and mask; two rows padded by four and one on the given side."""
    ids = torch.randint(6, 80, (3, 7), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(ids)
    for row, pads in ((0, 4), (1, 1)):
        if side == "left":
            mask[row, :pads] = 0
        elif side == "right":
            mask[row, -pads:] = 0
    return ids.masked_fill(mask == 0, PAD), mask


def generated(model: Any, ids: Tensor, mask: Tensor) -> tuple[Tensor, list[Tensor]]:
    """All of the decoder's ids, (3, 1 + NEW), and the raw logits that `generate` saw, NEW x (3, V)."""
    out = model.generate(
        ids, attention_mask=mask, max_new_tokens=NEW, min_new_tokens=NEW, do_sample=False,
        output_logits=True, return_dict_in_generate=True,
    )  # fmt: skip
    return out.sequences, list(out.logits)


@pytest.mark.parametrize("side", ["none", "left", "right"])
def test_step_logits_equal_those_of_generate_bit_for_bit(model: Any, side: str) -> None:
    ids, mask = prompts(side)
    sequences, expected = generated(model, ids, mask)
    session = connected(model)[0].open(3, None)
    padding = {} if side == "none" else {"encoder_mask": mask}
    seen = [session.prefill(sequences[:, :1], encoder_ids=ids, **padding)]
    seen += [session.step(sequences[:, t : t + 1])[:, -1] for t in range(1, NEW)]
    session.close()
    for step, (ours, theirs) in enumerate(zip(seen, expected, strict=True)):
        assert torch.equal(ours.float(), theirs), f"step {step}"


def test_the_encoder_runs_once(model: Any) -> None:
    ids, mask = prompts("right")
    calls: list[int] = []
    hook = model.get_encoder().register_forward_hook(lambda *_: calls.append(1))
    session = connected(model)[0].open(3, None)
    session.prefill(torch.full((3, 1), 2), encoder_ids=ids, encoder_mask=mask)
    session.step(torch.full((3, 1), 9))
    session.select(torch.tensor([1, 1]))
    session.step(torch.full((2, 2), 9))
    session.close()
    hook.remove()
    assert calls == [1]


def test_rows_are_reordered_repeated_and_dropped_with_what_they_read(model: Any) -> None:
    ids, mask = prompts("right")
    sequences, expected = generated(model, ids, mask)
    session = connected(model)[0].open(3, None)
    session.prefill(sequences[:, :1], encoder_ids=ids, encoder_mask=mask)
    session.step(sequences[:, 1:3])
    rows = torch.tensor([2, 0, 0, 1])
    session.select(rows)
    close = {"atol": 1e-4, "rtol": 1e-4}
    torch.testing.assert_close(session.step(sequences[rows, 3:4])[:, 0].float(), expected[3][rows], **close)
    session.select(torch.tensor([3]))
    torch.testing.assert_close(session.step(sequences[1:2, 4:5])[:, 0].float(), expected[4][1:2], **close)
    session.close()


def test_tokens_of_the_decoder_are_taken_back(model: Any) -> None:
    ids, mask = prompts("left")
    sequences, expected = generated(model, ids, mask)
    session = connected(model)[0].open(3, None)
    session.prefill(sequences[:, :1], encoder_ids=ids, encoder_mask=mask)
    session.step((sequences[:, 1:4] + 7) % 80)  # a wrong guess
    session.rewind(torch.tensor([3, 3, 3]))
    logits = session.step(sequences[:, 1:2])[:, 0].float()
    session.close()
    torch.testing.assert_close(logits, expected[1], atol=1e-4, rtol=1e-4)


def test_facts_tell_the_two_sides_apart() -> None:
    t5, bart = connected(seq2seq("t5"))[0].facts, connected(seq2seq("bart"))[0].facts
    assert t5.encoder is not None
    assert bart.encoder is not None
    assert (t5.encoder.start, t5.encoder.max_length, t5.max_length) == (0, None, None)
    assert (bart.encoder.start, bart.encoder.max_length, bart.max_length) == (2, 40, 40)
    assert (bart.encoder.vocab_size, bart.vocab_size, bart.encoder.takes_ids) == (80, 80, True)
    whisper = connected(seq2seq("whisper"))[0].facts
    assert whisper.encoder is not None
    assert (whisper.encoder.takes_ids, whisper.encoder.vocab_size, whisper.max_length) == (False, None, 40)


def test_the_start_token_is_told_or_the_beginning_of_text() -> None:
    model = hf.BartForConditionalGeneration(seq2seq("bart").config)
    model.config = copy.deepcopy(model.config)
    model.config.decoder_start_token_id = None
    model.generation_config.decoder_start_token_id = None
    facts = connected(model)[0].facts
    assert facts.encoder is not None
    assert facts.encoder.start == facts.bos == 1
    told = connected(model, {"name": "hf_encoder_decoder", "decoder_start_token_id": 7})[0].facts
    assert told.encoder is not None
    assert told.encoder.start == 7


def test_features_take_the_models_precision() -> None:
    model = hf.WhisperForConditionalGeneration(seq2seq("whisper").config).bfloat16().eval()
    session = connected(model)[0].open(2, None)
    logits = session.prefill(torch.full((2, 1), 2), input_features=torch.randn(2, 8, 24, dtype=torch.float64))
    session.close()
    assert logits.dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("inputs", "problem"),
    [
        ({}, "nothing to encode"),
        ({"input_features": torch.zeros(1, 8, 24), "pixels": 1}, "no input 'pixels'"),
    ],
)
def test_what_the_encoder_lacks_or_does_not_know_is_named(inputs: dict[str, Any], problem: str) -> None:
    session = connected(seq2seq("whisper"))[0].open(1, None)
    with pytest.raises(InvalidInput, match=problem):
        session.prefill(torch.full((1, 1), 2), **inputs)
    session.close()


def test_an_adapter_of_the_wrong_kind_says_which_is_the_right_one() -> None:
    with pytest.raises(ModelError, match="hf_encoder_decoder"):
        connected(seq2seq("t5"), "hf")
    gpt2 = hf.GPT2LMHeadModel(hf.GPT2Config(vocab_size=20, n_embd=8, n_layer=1, n_head=1))
    with pytest.raises(ModelError, match="no transformers encoder-decoder"):
        connected(gpt2, "hf_encoder_decoder")
    with pytest.raises(ModelError, match="encoder-decoder"):
        connected(seq2seq("t5"), "stateless")
