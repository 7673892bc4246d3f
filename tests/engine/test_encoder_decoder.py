"""Prompts go to the encoder, decoder prompts start the decoder, model inputs carry features."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
import transformers as hf
from engine_support import HOST, Script, Told
from seq2seq_models import EOS, PAD, START, VOCAB, seq2seq
from torch import Tensor

from decodery import Decoder, Pipeline
from decodery.contracts.errors import InvalidInput
from decodery.engine.run.run import Run

RAGGED = [[11, 12, 13, 14], [21, 22], [31, 32, 33, 34, 35, 36]]
WIDTH, NEW = 6, 9
SETTINGS: dict[str, dict[str, Any]] = {
    "greedy": {"do_sample": False, "no_repeat_ngram_size": 1},
    "sampling": {"do_sample": True, "temperature": 0.9, "top_k": 20},
}


def padded(left: bool) -> tuple[Tensor, Tensor]:
    """RAGGED as transformers' tokenizers hand it over: (3, 6) ids and mask."""
    rows = [[PAD] * (WIDTH - len(r)) + r if left else r + [PAD] * (WIDTH - len(r)) for r in RAGGED]
    ids = torch.tensor(rows)
    return ids, (ids != PAD).long()


def pipeline(settings: dict[str, Any], hf_layout: bool = True) -> Pipeline:
    steps = {"no_repeat_ngram_size": "no_repeat_ngram", "temperature": "temperature", "top_k": "top_k"}
    pipe = Pipeline().with_strategy("sample" if settings["do_sample"] else "greedy")
    for key, step in steps.items():
        if key in settings:
            pipe = pipe.add(step, settings[key])
    pipe = pipe.stop("eos").stop("max_new_tokens", NEW)
    return pipe.compat("hf") if hf_layout else pipe


@pytest.mark.parametrize("name", ["t5", "bart"])
@pytest.mark.parametrize("left", [False, True])
@pytest.mark.parametrize("setting", SETTINGS)
def test_tokens_are_those_of_generate(name: str, left: bool, setting: str) -> None:
    model, settings = seq2seq(name), SETTINGS[setting]
    ids, mask = padded(left)
    torch.manual_seed(5)
    theirs = model.generate(ids, attention_mask=mask, max_new_tokens=NEW, **settings)
    decoder = Decoder(model, pipeline(settings))
    # With the tokenizer's mask, without it, and, padded where most tokenizers pad, as lists.
    calls: list[tuple[Any, dict[str, Any]]] = [(ids, {"model_inputs": {"attention_mask": mask}}), (ids, {})]
    for prompts, inputs in calls if left else [*calls, (RAGGED, {})]:
        torch.manual_seed(5)
        assert torch.equal(decoder.generate(prompts, **inputs).sequences, theirs)


@pytest.mark.parametrize("name", ["t5", "bart"])
@pytest.mark.parametrize("left", [False, True])
def test_a_row_alone_equals_the_row_in_a_ragged_batch(name: str, left: bool) -> None:
    decoder = Decoder(seq2seq(name), pipeline(SETTINGS["sampling"], hf_layout=False))
    alone = [decoder.generate(prompt, seed=3).tokens[0] for prompt in RAGGED]
    assert len(set(map(tuple, alone))) == len(alone)
    assert decoder.generate(RAGGED, seed=3).tokens == alone
    ids, mask = padded(left)
    assert decoder.generate(ids, seed=3).tokens == alone
    assert decoder.generate(ids, seed=3, model_inputs={"attention_mask": mask}).tokens == alone
    repeated = decoder.generate(RAGGED[::-1], seed=3, n=2)
    assert repeated.tokens[::2] == alone[::-1]


def test_tokens_are_the_decoders_new_ones_and_sequences_its_ids() -> None:
    decoder = Decoder(seq2seq("bart"), pipeline(SETTINGS["greedy"], hf_layout=False))
    result = decoder.generate(RAGGED, decoder_prompts=[[START, 9, 8], [7], [START]])
    assert [row.prompt for row in result] == [(START, 9, 8), (START, 7), (START,)]
    for row, whole in zip(result, result.sequences.tolist(), strict=True):
        assert whole[: len(row.prompt) + len(row.tokens)] == [*row.prompt, *row.tokens]


@pytest.mark.parametrize("name", ["t5", "bart"])
def test_decoder_prompts_of_any_length_are_gone_on_from(name: str) -> None:
    decoder = Decoder(seq2seq(name), pipeline(SETTINGS["greedy"], hf_layout=False))
    starts = [[9, 8, 7], [7], [13, 14]]
    whole = decoder.generate(RAGGED, decoder_prompts=starts)
    alone = [decoder.generate(p, decoder_prompts=d).tokens[0] for p, d in zip(RAGGED, starts, strict=True)]
    assert whole.tokens == alone
    for prompt, start, row in zip(RAGGED, starts, whole, strict=True):
        theirs = decoder.model.model.generate(  # type: ignore[attr-defined]
            torch.tensor([prompt]), decoder_input_ids=torch.tensor([start]), max_new_tokens=NEW,
            do_sample=False, no_repeat_ngram_size=1,
        )  # fmt: skip
        assert [*row.prompt, *row.tokens] == theirs[0].tolist()


def test_one_decoder_prompt_serves_all_rows() -> None:
    decoder = Decoder(seq2seq("bart"), pipeline(SETTINGS["greedy"], hf_layout=False))
    each = decoder.generate(RAGGED, decoder_prompts=[[START, 9]] * 3)
    assert decoder.generate(RAGGED, decoder_prompts=[START, 9]).tokens == each.tokens


def test_features_take_the_place_of_prompts() -> None:
    model = seq2seq("whisper")
    features = torch.randn(3, 8, 24, generator=torch.Generator().manual_seed(1))
    # Whisper's own `generate` is one for audio files; beneath it is the same as the others'.
    theirs = hf.GenerationMixin.generate(
        model, features, max_new_tokens=NEW, do_sample=False, no_repeat_ngram_size=1
    )
    decoder = Decoder(model, pipeline(SETTINGS["greedy"]))
    assert torch.equal(decoder.generate(model_inputs={"input_features": features}).sequences, theirs)
    plain = Decoder(model, pipeline(SETTINGS["sampling"], hf_layout=False))
    whole = plain.generate(model_inputs={"input_features": features}, n=2, seed=4)
    for row, one in enumerate(features):
        alone = plain.generate(model_inputs={"input_features": one.unsqueeze(0)}, n=2, seed=4)
        assert whole.tokens[2 * row : 2 * row + 2] == alone.tokens


def test_a_stream_is_the_same() -> None:
    decoder = Decoder(seq2seq("t5"), pipeline(SETTINGS["greedy"], hf_layout=False))
    stream = decoder.stream(RAGGED, decoder_prompts=[3])
    told: list[list[int]] = [[], [], []]
    for event in stream:
        if event.token is not None:
            told[event.row].append(event.token)
    assert told == stream.result.tokens == decoder.generate(RAGGED, decoder_prompts=[3]).tokens


def test_steps_are_told_what_their_rows_encoder_read() -> None:
    pipe = Pipeline(host=HOST).add("told_encoder").stop("max_new_tokens", 1)
    Told.built.clear()
    Decoder(seq2seq("t5"), pipe, host=HOST).generate(RAGGED, n=2)
    assert [facts["encoder_ids"].tolist() for facts in Told.built] == [[row] for row in RAGGED for _ in "ab"]
    # transformers' own layout has one object, which sees the padding.
    Told.built.clear()
    Decoder(seq2seq("t5"), pipe.compat("hf"), host=HOST).generate(padded(left=True)[0])
    assert [facts["encoder_ids"].tolist() for facts in Told.built] == [padded(left=True)[0].tolist()]


@pytest.mark.parametrize("name", ["t5", "bart", "whisper"])
def test_rows_are_reordered_with_what_they_read(name: str) -> None:
    """By a session that can, and by one that is opened anew and encodes again."""
    features = torch.randn(3, 8, 24, generator=torch.Generator().manual_seed(1))
    arguments: dict[str, Any] = {"prompts": RAGGED}
    if name == "whisper":
        arguments = {"model_inputs": {"input_features": features}}
    seen: dict[bool, list[Tensor]] = {True: [], False: []}

    def act(run: Run) -> None:
        for rows in ([0, 1, 2], [2, 0, 1], [1, 2, 0]):  # the last brings the rows back
            run.append(run.logits().argmax(-1))
            run.select(torch.tensor(rows))
            seen[able].append(run.logits().clone())

    Script.act = staticmethod(act)
    pipe = Pipeline(host=HOST).with_strategy("script").stop("max_new_tokens", 9)
    decoder = Decoder(seq2seq(name), pipe, host=HOST)
    facts = decoder.model.facts
    for able in (True, False):
        capabilities = replace(facts.capabilities, select=able)
        decoder.model._facts = replace(facts, capabilities=capabilities)  # type: ignore[attr-defined]
        decoder.generate(**arguments)
    assert len({tuple(row.tolist()) for row in seen[True][0].argsort(-1)[:, -3:]}) == 3
    for one, other in zip(seen[True], seen[False], strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)
    alone = Decoder(seq2seq(name)).generate(**arguments, max_new_tokens=3)
    assert [row.tokens for row in decoder.generate(**arguments)] == alone.tokens


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({}, "no prompts were given"),
        ({"prompts": RAGGED, "decoder_prompts": [[1], [2]]}, "2 decoder prompts for 3 prompts"),
        ({"prompts": RAGGED, "decoder_prompts": [99]}, "outside the vocabulary"),
        ({"prompts": [[99]]}, "outside the vocabulary"),
        ({"prompts": [[9] * 41]}, "has 41 tokens; the model's context is 40"),
        ({"prompts": [[PAD, PAD]]}, "nothing but padding"),
        ({"prompts": RAGGED, "model_inputs": {"attention_mask": torch.ones(3, 6)}}, "attention_mask is"),
        ({"prompts": RAGGED, "model_inputs": {"pixels": 1}}, "no input 'pixels'"),
        ({"prompts": RAGGED, "model_inputs": {"decoder_input_ids": 1}}, "not for this place"),
        ({"prompts": RAGGED, "model_inputs": [1]}, "model_inputs is"),
    ],
)
def test_bad_input_is_named(arguments: dict[str, Any], problem: str) -> None:
    with pytest.raises(InvalidInput, match=problem):
        Decoder(seq2seq("bart"), eos_token_id=EOS).generate(**arguments)


def test_text_for_an_encoder_of_features_is_refused() -> None:
    with pytest.raises(InvalidInput, match="reads features"):
        Decoder(seq2seq("whisper")).generate([[1, 2]])
    with pytest.raises(InvalidInput, match="no features were given"):
        Decoder(seq2seq("whisper")).generate()


def _captioner() -> Any:
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"vocab_size": VOCAB, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64}
    config = hf.GPT2Config(
        **sizes, add_cross_attention=True, initializer_range=0.3, bos_token_id=None, eos_token_id=None
    )
    return hf.GPT2LMHeadModel(config).eval()


def test_model_inputs_go_with_the_rows_of_a_decoder_alone() -> None:
    decoder = Decoder(_captioner(), pipeline(SETTINGS["sampling"], hf_layout=False))
    pixels = torch.randn(3, 5, 32, generator=torch.Generator().manual_seed(2)) * 3
    whole = decoder.generate(RAGGED, seed=3, n=2, model_inputs={"encoder_hidden_states": pixels})
    for row, (prompt, seen) in enumerate(zip(RAGGED, pixels, strict=True)):
        alone = decoder.generate(
            prompt, seed=3, n=2, model_inputs={"encoder_hidden_states": seen.unsqueeze(0)}
        )
        assert whole.tokens[2 * row : 2 * row + 2] == alone.tokens
    blind = decoder.generate(RAGGED, seed=3, n=2, model_inputs={"encoder_hidden_states": pixels * 0})
    assert blind.tokens != whole.tokens


def test_a_tokenizers_mask_takes_the_padding_out_of_a_decoders_prompts() -> None:
    decoder = Decoder(_captioner(), pipeline(SETTINGS["greedy"], hf_layout=False))
    for left in (False, True):
        ids, mask = padded(left)
        found = decoder.generate(ids, model_inputs={"attention_mask": mask})
        assert found.tokens == decoder.generate(RAGGED).tokens
    with pytest.raises(InvalidInput, match="no encoder"):
        decoder.generate(RAGGED, decoder_prompts=[1])
