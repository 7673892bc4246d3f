"""transformers' classes are not believed either: cache and mask are proved, once a module, and a liar is named."""

from __future__ import annotations

import functools
import gc
import weakref
from typing import Any

import pytest
import torch
import transformers as hf
from adapters import connected
from test_hf import MAKERS, SIZES, made
from torch import Tensor, nn

from decodery import Decoder, Pipeline
from decodery.contracts.errors import ModelError
from decodery.models.options import UnknownOption
from decodery.models.probing.rounding import coarsest, gap_of, tolerance

as_llama = functools.wraps(hf.LlamaForCausalLM.forward)
"""For methods that hand everything on: the signature is what adapters read."""
PROMPTS = [[5, 6, 7, 8, 9], [11], [21, 22, 23]]


def loud(model: Any) -> Any:
    torch.manual_seed(0)
    for parameter in model.parameters():
        if parameter.dim() > 1:
            nn.init.normal_(parameter, std=0.2)
    return model.eval()


def best(model: Any, prompt: list[int], count: int = 6) -> list[int]:
    """By the whole text in each step."""
    ids = torch.tensor([prompt])
    with torch.no_grad():
        for _ in range(count):
            ids = torch.cat([ids, model(ids, use_cache=False).logits[:, -1:].argmax(-1)], dim=1)
    return ids[0, len(prompt) :].tolist()


class Late(hf.LlamaForCausalLM):
    """Every step with its cache believes that it is the first."""

    @as_llama
    def forward(self, input_ids: Tensor, position_ids: Tensor | None = None, **kwargs: Any) -> Any:
        if input_ids.shape[1] == 1:
            position_ids = torch.zeros_like(input_ids)
        return super().forward(input_ids, position_ids=position_ids, **kwargs)


class Deaf(hf.LlamaForCausalLM):
    """Takes a mask and forgets it."""

    @as_llama
    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None, **kwargs: Any) -> Any:
        return super().forward(input_ids, **kwargs)


class Wet(hf.LlamaForCausalLM):
    """Its dropout knows no eval mode."""

    @as_llama
    def forward(self, *args: Any, **kwargs: Any) -> Any:
        answer = super().forward(*args, **kwargs)
        answer.logits = nn.functional.dropout(answer.logits, 0.3)
        return answer


class Seeing(hf.LlamaForCausalLM):
    """Looks for a picture wherever its id stands, as models of pictures do."""

    @as_llama
    def forward(self, input_ids: Tensor, **kwargs: Any) -> Any:
        if bool((input_ids == 96).any()):
            raise ValueError("Image features and image tokens do not match")
        return super().forward(input_ids, **kwargs)


def test_a_cache_that_lies_is_given_up_with_a_warning_and_the_text_is_right() -> None:
    model = loud(Late(hf.LlamaConfig(**SIZES)))
    decoder = Decoder(model, Pipeline().stop("max_new_tokens", 6))
    assert decoder.report.adapter == "stateless"
    warning = decoder.report.warnings[0]
    assert warning.startswith("adapter 'hf' was tried and given up")
    assert "steps with its cache are not those of the whole context" in warning
    assert "adapter='stateless' feeds the whole context" in warning
    assert decoder.generate(PROMPTS).tokens == [best(model, prompt) for prompt in PROMPTS]
    with pytest.raises(ModelError, match="steps with its cache are not those") as caught:
        connected(model, "hf")
    assert "'verify': False" in caught.value.remedy
    assert connected(model, {"name": "hf", "verify": False})[1].difference is None


def test_a_mask_that_is_ignored_pads_nothing() -> None:
    model = loud(Deaf(hf.LlamaConfig(**SIZES)))
    decoder = Decoder(model, Pipeline().stop("max_new_tokens", 6))
    can = decoder.model.facts.capabilities
    assert (decoder.report.adapter, can.masks, can.pads, can.rewind) == ("hf", False, True, "uniform")
    (warning,) = decoder.report.warnings
    assert "a left-padded row is not answered like the row alone" in warning
    assert "lockstep" in warning
    assert decoder.generate(PROMPTS).tokens == [best(model, prompt) for prompt in PROMPTS]


def test_dropout_that_is_left_on_is_named() -> None:
    report = connected(loud(Wet(hf.LlamaConfig(**SIZES))))[1]
    assert report.adapter == "stateless"
    assert "not deterministic" in report.warnings[-1]


def test_an_encoder_with_a_head_is_driven_by_the_whole_text_and_called_not_causal() -> None:
    model = loud(
        hf.BertLMHeadModel(
            hf.BertConfig(
                vocab_size=97,
                hidden_size=32,
                num_hidden_layers=2,
                num_attention_heads=4,
                intermediate_size=64,
            )
        )
    )
    report = connected(model)[1]
    assert report.adapter == "stateless"
    assert any("not causal" in warning for warning in report.warnings)


def bart() -> Any:
    """Learned positions that know nothing of a mask: padding moves a row."""
    config = hf.BartConfig(
        vocab_size=97, d_model=32, decoder_layers=2, decoder_attention_heads=4, decoder_ffn_dim=64,
        max_position_embeddings=64, pad_token_id=0, eos_token_id=2, forced_eos_token_id=None,
    )  # fmt: skip
    return loud(hf.BartForCausalLM(config))


def test_where_padding_moves_a_row_rows_are_fed_in_lockstep_and_compat_hf_pads() -> None:
    model = bart()
    decoder = Decoder(model, Pipeline().stop("max_new_tokens", 6))
    assert decoder.generate(PROMPTS).tokens == [best(model, prompt) for prompt in PROMPTS]
    width = max(map(len, PROMPTS))
    ids = torch.tensor([[0] * (width - len(p)) + p for p in PROMPTS])
    theirs = model.generate(
        ids, attention_mask=(ids != 0).long(), max_new_tokens=6, do_sample=False, pad_token_id=0
    )
    alike = Decoder(model, Pipeline().compat("hf").stop("eos").stop("max_new_tokens", 6)).generate(PROMPTS)
    padded = [row + [0] * (6 - len(row)) for row in alike.tokens]
    assert padded == [row[width:] + [0] * (6 - len(row[width:])) for row in theirs.tolist()]


def test_a_sound_model_is_proved_in_five_calls_and_once() -> None:
    model = MAKERS["llama"]()
    columns: list[int] = []
    hook = model.register_forward_pre_hook(
        lambda module, args, kwargs: columns.append(kwargs["input_ids"].shape[1]), with_kwargs=True
    )
    report = connected(model)[1]
    assert columns == [10, 7, 1, 1, 1]
    assert (report.compared, report.warnings) == (10, ())
    assert report.difference is not None
    assert report.difference < 1e-4
    assert "verified    its cache: over 10 tokens the answers are those without it, to " in str(report)
    columns.clear()
    assert connected(model)[1].difference == report.difference
    assert Decoder(model).report.difference == report.difference
    assert columns == []
    connected(model, {"name": "hf", "cache": "static"})  # another cache, another proof
    assert columns == [10, 7, 1, 1, 1]
    hook.remove()


def test_a_proof_does_not_keep_its_model() -> None:
    model = MAKERS["gpt2"]()
    connected(model)
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None


def test_a_proof_passes_the_window_and_leaves_everything_as_it_was() -> None:
    model = made("mistral")
    model.train()
    state = torch.random.get_rng_state()
    calls: list[int] = []
    hook = model.register_forward_pre_hook(
        lambda module, args, kwargs: calls.append(kwargs["input_ids"].shape[1]), with_kwargs=True
    )
    report = connected(model, vocab_size=90)[1]  # a width that no other test has asked for
    hook.remove()
    assert calls[0] == SIZES["num_attention_heads"] + 8  # a window of six, and six tokens more
    assert report.warnings == ()
    assert model.training
    assert all(part.training for part in model.modules())
    assert torch.equal(torch.random.get_rng_state(), state)
    model.eval()


def test_ids_that_mean_something_to_the_model_are_not_tried() -> None:
    config = hf.LlamaConfig(**{**SIZES, "vocab_size": 97, "image_token_id": 96})
    report = connected(loud(Seeing(config)))[1]
    assert (report.adapter, report.compared) == ("hf", 10)
    few = hf.LlamaConfig(**{**SIZES, "vocab_size": 4, "image_token_id": 3})
    assert connected(loud(Seeing(few)))[1].compared == 10


def test_a_model_that_wants_more_than_ids_is_believed_and_the_report_says_so() -> None:
    class Picky(hf.LlamaForCausalLM):
        @as_llama
        def forward(self, input_ids: Tensor, pixel_values: Tensor | None = None, **kwargs: Any) -> Any:
            if pixel_values is None:
                raise ValueError("where is the picture?")
            return super().forward(input_ids, **kwargs)

    report = connected(Picky(hf.LlamaConfig(**SIZES)))[1]
    assert (report.adapter, report.difference) == ("hf", None)
    assert (
        "not verified, as a call with ids alone fails: ValueError: where is the picture?" in report.evidence
    )
    assert "  verified    no\n" in str(report)


def test_what_the_logits_are_may_be_said_and_another_orientation_may_not() -> None:
    model = made("llama")
    expected = Decoder(model).generate(PROMPTS, max_new_tokens=4).tokens
    said = Decoder(model, adapter={"name": "hf", "logits": lambda output: -output.logits}, vocab_size=97)
    assert said.report.compared == 10
    ids = torch.tensor([PROMPTS[0]])
    with torch.no_grad():
        least = int(model(ids).logits[0, -1].argmin())
    assert said.generate(PROMPTS[:1], max_new_tokens=1).tokens == [[least]]
    assert Decoder(model, adapter={"name": "hf", "logits": "logits"}).generate(
        PROMPTS, max_new_tokens=4
    ).tokens == (expected)
    with pytest.raises(UnknownOption, match="adapter 'hf' has no option 'time_first'"):
        connected(model, {"name": "hf", "time_first": True})


def test_rounding_is_that_of_the_coarsest_number_on_the_way() -> None:
    logits = torch.tensor([[0.5, -0.5]])
    assert tolerance(logits, torch.float32) == 2e-3
    assert tolerance(logits, torch.bfloat16) == tolerance(logits.bfloat16(), torch.float32) == 0.15
    assert tolerance(logits.half(), torch.float16) == 2e-2
    # The step between two bfloat16 numbers near 15 is a sixteenth.
    assert tolerance(30 * logits, torch.bfloat16) > 0.5
    # "Never" is not a number that anything was computed from.
    assert tolerance(torch.tensor([[1.0, torch.finfo(torch.float32).min, -torch.inf]]), torch.float32) == 2e-3
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert tolerance(logits, torch.float32) == 0.15
    assert coarsest(torch.int8, None) == torch.float32


class LateBart(hf.BartForConditionalGeneration):
    """Every step with its cache is a step with token 5."""

    @functools.wraps(hf.BartForConditionalGeneration.forward)
    def forward(self, decoder_input_ids: Tensor | None = None, **kwargs: Any) -> Any:
        if decoder_input_ids is not None and decoder_input_ids.shape[1] == 1:
            decoder_input_ids = torch.full_like(decoder_input_ids, 5)
        return super().forward(decoder_input_ids=decoder_input_ids, **kwargs)


def seq2seq(kind: Any = hf.BartForConditionalGeneration) -> Any:
    config = hf.BartConfig(
        vocab_size=97, d_model=32, encoder_layers=1, decoder_layers=1, encoder_attention_heads=4,
        decoder_attention_heads=4, encoder_ffn_dim=64, decoder_ffn_dim=64, max_position_embeddings=64,
        pad_token_id=1, forced_eos_token_id=None, eos_token_id=96,
    )  # fmt: skip
    return loud(kind(config))


def test_an_encoder_decoders_cache_is_proved_behind_a_padded_prompt() -> None:
    report = connected(seq2seq())[1]
    assert (report.adapter, report.compared, report.warnings) == ("hf_encoder_decoder", 10, ())
    assert report.difference is not None
    assert report.difference < 1e-4


def test_an_encoder_decoders_cache_that_lies_is_not_used() -> None:
    model = seq2seq(LateBart)
    decoder = Decoder(model)
    assert "steps with its cache are not those of the whole context" in decoder.report.warnings[0]
    assert "it is not used" in decoder.report.warnings[0]

    def truth(prompt: list[int]) -> list[int]:
        ids = torch.tensor([[model.config.decoder_start_token_id]])
        with torch.no_grad():
            for _ in range(6):
                answer = model(input_ids=torch.tensor([prompt]), decoder_input_ids=ids, use_cache=False)
                ids = torch.cat([ids, answer.logits[:, -1:].argmax(-1)], dim=1)
        return ids[0, 1:].tolist()

    assert decoder.generate(PROMPTS, max_new_tokens=6).tokens == [truth(prompt) for prompt in PROMPTS]
    beams = {"recipe": 1, "strategy": {"beam": {"num_beams": 3}}, "stop": [{"max_new_tokens": 4}]}
    trusted = Decoder(seq2seq(), beams).generate(PROMPTS).tokens  # sound, and by its cache
    sound = Decoder(seq2seq(), beams, adapter={"name": "hf_encoder_decoder"})
    sound.model.cached = False  # type: ignore[attr-defined]
    assert sound.generate(PROMPTS).tokens == trusted


def test_an_encoder_of_sounds_is_not_tried_and_the_report_says_so() -> None:
    config = hf.WhisperConfig(
        vocab_size=97, d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=32, decoder_ffn_dim=32, num_mel_bins=8, max_source_positions=8,
        pad_token_id=0, bos_token_id=1, eos_token_id=2, decoder_start_token_id=3, suppress_tokens=None,
        begin_suppress_tokens=None,
    )  # fmt: skip
    report = connected(hf.WhisperForConditionalGeneration(config).eval())[1]
    assert "not verified, as its encoder takes no ids" in report.evidence
    assert report.difference is None


@pytest.mark.parametrize(
    ("weights", "largest", "seen"),
    [(torch.bfloat16, 6.7, 0.30), (torch.bfloat16, 12.2, 0.317), (torch.float16, 11.2, 0.0486)],
)
def test_what_sound_models_were_seen_to_differ_by_is_allowed_and_a_lie_is_not(
    weights: torch.dtype, largest: float, seen: float
) -> None:
    """Seen on an H100 (torch 2.11, transformers 5.17): cached steps of random Llamas of 8 and 1 billion parameters
    against the whole context, in one call; a vocabulary of 128,256."""
    logits = torch.tensor([[largest, 0.0]])
    assert (
        1.5 * seen < tolerance(logits, weights) < largest / 4
    )  # two rows of such logits differ by their range


def test_a_token_that_rounding_sends_to_another_expert_is_no_lie() -> None:
    """Mixtral in float16, on the same machine: one position off by 1.07, the median by 0."""
    gaps = torch.tensor([[0.0, 0.0, 1.07, 0.0], [0.0, 0.0, 0.0, 0.0]])
    assert gap_of(gaps, torch.float16) == 0.0
    assert gap_of(gaps, torch.float32) == pytest.approx(1.07)
    assert gap_of(gaps + 1.0, torch.bfloat16) == 1.0
