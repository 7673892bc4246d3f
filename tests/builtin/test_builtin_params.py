"""Bounds and names of the parameters: those of transformers, and an error a user can act on."""

from __future__ import annotations

import pytest
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
        ("sequence_bias", {"sequence_bias": [[[0], -2.0], [[3, 4], 1.5]]}),
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
    ],
)
def test_a_lone_value_sets_the_parameter_one_thinks_of(step, value, field, held, steps):
    spec = steps[step]
    assert param_values(fill(spec, lone_value(spec, value)))[field] == held
