"""Bounds and names of the parameters: those of transformers, and an error a user can act on."""

from __future__ import annotations

import pytest
import torch
from hf_versions import not_with_4
from transformers.generation import logits_process as hf

from decodery.contracts.errors import InvalidParams
from decodery.contracts.params import param_values
from decodery.contracts.steps import fill, lone_value

HF = {
    "temperature": hf.TemperatureLogitsWarper,
    "top_k": lambda top_k, min_tokens_to_keep=1: hf.TopKLogitsWarper(
        top_k, min_tokens_to_keep=min_tokens_to_keep
    ),
    "top_p": hf.TopPLogitsWarper,
    "min_p": hf.MinPLogitsWarper,
    "typical_p": hf.TypicalLogitsWarper,
    "repetition_penalty": hf.RepetitionPenaltyLogitsProcessor,
    "no_repeat_ngram": hf.NoRepeatNGramLogitsProcessor,
    "bad_words": hf.NoBadWordsLogitsProcessor,
    "sequence_bias": hf.SequenceBiasLogitsProcessor,
    "epsilon_cutoff": hf.EpsilonLogitsWarper,
    "eta_cutoff": hf.EtaLogitsWarper,
    "top_h": lambda **v: hf.TopHLogitsWarper(**v),  # noqa: PLW0108  # transformers 4 has none
    "encoder_repetition_penalty": lambda **v: hf.EncoderRepetitionPenaltyLogitsProcessor(
        *v.values(), torch.ones(1, 2)
    ),
    "encoder_no_repeat_ngram": lambda **v: hf.EncoderNoRepeatNGramLogitsProcessor(
        *v.values(), torch.ones(1, 2)
    ),
    "min_length": lambda min_length: hf.MinLengthLogitsProcessor(min_length, 2),
    "forced_eos": lambda max_length=9, **v: hf.ForcedEOSTokenLogitsProcessor(max_length, *v.values()),
    "suppress_tokens": hf.SuppressTokensLogitsProcessor,
    "watermark": lambda **v: hf.WatermarkLogitsProcessor(50, "cpu", **v),
    "bark_eos_prioritizer": lambda min_eos_p: hf.BarkEosPrioritizerLogitsProcessor(2, min_eos_p),
    "dia_eos_channel_filter": hf.DiaEOSChannelFilterLogitsProcessor,
}


@pytest.mark.parametrize(
    ("step", "values"),
    [
        ("temperature", {"temperature": 1e-6}),
        ("top_k", {"top_k": 1}),
        ("top_k", {"top_k": 5, "min_tokens_to_keep": 9}),
        ("top_p", {"top_p": 0.0}),
        ("top_p", {"top_p": 1.0, "min_tokens_to_keep": 2}),
        ("min_p", {"min_p": 1.0}),
        ("typical_p", {"mass": 0.01}),
        ("epsilon_cutoff", {"epsilon": 0.999}),
        ("eta_cutoff", {"epsilon": 1e-9, "min_tokens_to_keep": 7}),
        ("repetition_penalty", {"penalty": 0.01}),
        ("no_repeat_ngram", {"ngram_size": 1}),
        ("bad_words", {"bad_words_ids": [[0], [3, 4]]}),
        pytest.param(
            "sequence_bias", {"sequence_bias": [[[0], -2.0], [[3, 4], 1.5]]}, marks=not_with_4["zero"]
        ),
        pytest.param("top_h", {"top_h": 1.0}, marks=not_with_4["top_h"]),
        ("encoder_repetition_penalty", {"encoder_repetition_penalty": 0.1}),
        ("encoder_no_repeat_ngram", {"encoder_no_repeat_ngram_size": 1}),
        ("min_length", {"min_length": 0}),
        ("forced_eos", {"eos_token_id": [0, 7], "max_length": 3}),
        ("suppress_tokens", {"suppress_tokens": [0, 3]}),
        (
            "watermark",
            {"greenlist_ratio": 0.01, "bias": -3.0, "seeding_scheme": "selfhash", "hashing_key": 1},
        ),
        ("bark_eos_prioritizer", {"min_eos_p": 1.5}),
        ("dia_eos_channel_filter", {"num_channels": 1, "eos_token_id": 1}),
    ],
)
def test_what_transformers_takes_is_taken_by_the_same_name(step, values, steps):
    HF[step](**values)
    assert fill(steps[step], values) is not None


@pytest.mark.parametrize(
    ("step", "values"),
    [
        ("temperature", {"temperature": -1.0}),
        ("temperature", {"temperature": 0.0}),
        ("top_k", {"top_k": -1}),
        ("top_p", {"top_p": 1.5}),
        ("top_p", {"top_p": -0.1}),
        ("top_p", {"top_p": 0.5, "min_tokens_to_keep": 0}),
        ("min_p", {"min_p": 1.01}),
        ("typical_p", {"mass": 0.0}),
        ("epsilon_cutoff", {"epsilon": 1.0}),
        ("eta_cutoff", {"epsilon": -0.1}),
        ("repetition_penalty", {"penalty": 0.0}),
        ("no_repeat_ngram", {"ngram_size": 0}),
        ("bad_words", {"bad_words_ids": []}),
        ("bad_words", {"bad_words_ids": [[-1]]}),
        ("sequence_bias", {"sequence_bias": []}),
        ("sequence_bias", {"sequence_bias": [[[-1], 1.0]]}),
        ("sequence_bias", {"sequence_bias": [[[1], "1"]]}),
        pytest.param("top_h", {"top_h": 0.0}, marks=not_with_4["top_h"]),
        pytest.param("top_h", {"top_h": 1.1}, marks=not_with_4["top_h"]),
        ("encoder_repetition_penalty", {"encoder_repetition_penalty": 0.0}),
        ("encoder_no_repeat_ngram", {"encoder_no_repeat_ngram_size": 0}),
        ("min_length", {"min_length": -1}),
        ("forced_eos", {"eos_token_id": [-1]}),
        ("forced_eos", {"eos_token_id": [1.5]}),
        ("watermark", {"greenlist_ratio": 1.0}),
        ("watermark", {"greenlist_ratio": 0.0}),
        ("watermark", {"seeding_scheme": "righthash"}),
        ("bark_eos_prioritizer", {"min_eos_p": 0.0}),
        ("dia_eos_channel_filter", {"num_channels": 0, "eos_token_id": 1}),
        ("dia_eos_channel_filter", {"num_channels": 1, "eos_token_id": 0}),
    ],
)
def test_what_transformers_refuses_is_refused(step, values, steps):
    with pytest.raises((ValueError, TypeError)):
        HF[step](**values)
    with pytest.raises(InvalidParams, match=step):
        fill(steps[step], values)


@pytest.mark.parametrize(
    ("step", "values"),
    [
        ("top_p", {"p": "0.9"}),
        ("top_p", {"p": True}),
        ("top_k", {"k": 5.5}),
        ("top_k", {"k": 5, "ties": "drop"}),
        ("repetition_penalty", {"penalty": 1.1, "window": 0}),
        ("repetition_penalty", {"penalty": 1.1, "scope": "input"}),
        ("min_new_tokens", {"min_new_tokens": -1}),
        ("bad_words", {"ids": [[]]}),
        ("sequence_bias", {"pairs": [[[], 1.0]]}),
        ("sequence_bias", {"pairs": [[[1]]]}),
        ("max_new_tokens", {"max_new_tokens": 0}),
        ("max_length", {"max_length": 0}),
        ("max_time", {"max_time": -0.5}),
        ("stop_token_ids", {"ids": []}),
        ("stop_strings", {"strings": ""}),
        ("stop_strings", {"strings": []}),
        ("stop_strings", {"strings": ["a", ""]}),
        ("stop_strings", {"strings": 3}),
        ("eos", {"eos_token_id": 3}),
        ("repetition_penalty", {"penalty": 1.1, "slope": 1.5}),
        ("repetition_penalty", {"penalty": 1.1, "slope": -0.1}),
        ("top_h", {"h": 0.5, "min_keep": 0}),
        ("forced_bos", {"bos_token_id": -1}),
        ("forced_bos", {"token_id": [1]}),
        ("forced_eos", {"token_ids": 3, "max_length": 0}),
        ("exponential_decay_length_penalty", {"decay": [15]}),
        ("exponential_decay_length_penalty", {"decay": [-1, 1.1]}),
        ("exponential_decay_length_penalty", {"decay": [15, 0]}),
        ("suppress_tokens", {"ids": []}),
        ("suppress_tokens", {"ids": [-1]}),
        ("begin_suppress_tokens", {"ids": [1], "begin_index": 0}),
        ("prefix_allowed_tokens", {"fn": [1, 2]}),
        ("watermark", {"context_width": 0}),
        ("synthid_watermark", {}),
        ("synthid_watermark", {"keys": []}),
        ("synthid_watermark", {"keys": [1], "ngram_len": 1}),
        ("synthid_watermark", {"keys": [1], "sampling_table_size": 2**24 + 1}),
        ("whisper_timestamps", {}),
        ("alternating_codebooks", {"semantic_vocab_size": 10}),
        ("dia_eos_delay_pattern", {"delay_pattern": []}),
        ("dia_eos_delay_pattern", {"delay_pattern": [0, -1]}),
        ("confidence", {"threshold": 1.5}),
        ("renormalize", {"value": 1}),
    ],
)
def test_what_makes_no_sense_is_refused(step, values, steps):
    with pytest.raises(InvalidParams, match=step):
        fill(steps[step], values)


@pytest.mark.parametrize("zero", [0, 0.0, -0.0])
def test_a_temperature_of_zero_points_at_greedy(zero, steps):
    with pytest.raises(
        InvalidParams, match=r"temperature = -?0(\.0)?: must be greater than 0\n.*strategy 'greedy'"
    ):
        fill(steps["temperature"], {"temperature": zero})


@pytest.mark.parametrize(
    ("step", "value", "field", "held"),
    [
        ("temperature", 1, "temperature", 1.0),
        ("top_k", 40, "k", 40),
        ("top_p", 0.9, "p", 0.9),
        ("typical_p", 0.9, "p", 0.9),
        ("repetition_penalty", 1.1, "penalty", 1.1),
        ("bad_words", [[1], [2, 3]], "ids", ((1,), (2, 3))),
        ("sequence_bias", [[[1, 2], -1]], "pairs", (((1, 2), -1.0),)),
        ("stop_token_ids", 5, "ids", (5,)),
        ("stop_token_ids", [5, 6], "ids", (5, 6)),
        ("stop_strings", "\nUser:", "strings", ("\nUser:",)),
        ("stop_strings", ["a", "b"], "strings", ("a", "b")),
        ("max_new_tokens", 256, "max_new_tokens", 256),
        ("top_h", 0.4, "h", 0.4),
        ("min_length", 12, "min_length", 12),
        ("forced_bos", 3, "token_id", 3),
        ("forced_eos", 2, "token_ids", (2,)),
        ("exponential_decay_length_penalty", [15, 1.6], "decay", (15, 1.6)),
        ("suppress_tokens", [1, 2], "ids", (1, 2)),
        ("begin_suppress_tokens", 7, "ids", (7,)),
        ("encoder_repetition_penalty", 1.5, "penalty", 1.5),
        ("encoder_no_repeat_ngram", 3, "ngram_size", 3),
        ("watermark", 0.5, "greenlist_ratio", 0.5),
        ("synthid_watermark", [654, 400], "keys", (654, 400)),
        ("confidence", 0.4, "threshold", 0.4),
    ],
)
def test_a_lone_value_sets_the_parameter_one_thinks_of(step, value, field, held, steps):
    spec = steps[step]
    assert param_values(fill(spec, lone_value(spec, value)))[field] == held
