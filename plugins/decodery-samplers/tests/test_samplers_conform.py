"""The kit over everything in the package."""

from __future__ import annotations

from decodery.testing import parametrize_with_checks
from decodery_samplers import plugin

NEUTRAL = {
    "logit_bias": {},
    "banned_tokens": {},
    "allowed_tokens": {},
    "presence_penalty": {"penalty": 0.0},
    "frequency_penalty": {"penalty": 0.0},
    "dry": {"multiplier": 0.0},
    "forced_tokens": {},
    "top_n_sigma": {"n": 0.0},
    "top_a": {"a": 0.0},
    "tail_free": {"z": 1.0},
    "p_step": {"r": 0.0},
    "xtc": {"probability": 0.0},
    "top_p_decay": {"p": 1.0},
    "dynamic_temperature": {"temperature": 1.0},
    "quadratic": {"factor": 0.0},
    "skew": {"skew": 0.0},
    "adaptive_p": {"target": -1.0},
    "gen_length": {"factor": 0.0},
    "cite_prompt": {"boost": 0.0},
}

# The derived ones vary one parameter at a time around defaults at which many steps are idle.
# The letters of the kit's tokenizer are single tokens, of which rows name "a" to "f" and never the last two.
SAMPLES = {
    "logit_bias": [
        {"biases": {"2": -1.5, "b": 2.0, "cb": 4.0, "ba": -3.0}},
        {"biases": [["B", 1.0]], "ignore_case": True},
    ],
    "banned_tokens": [{"tokens": [1, "c", "ab", "ba", "ccb"]}, {"tokens": ["CB", "bE"], "ignore_case": True}],
    "allowed_tokens": [{"tokens": [1, 3, "c", 6, 7]}],
    "presence_penalty": [
        {"penalty": 0.7},
        {"penalty": -0.5, "scope": "all", "window": 3},
        {"penalty": 0.5, "scope": "prompt", "window": 2, "decay_range": 4},
    ],
    "frequency_penalty": [
        {"penalty": 0.7},
        {"penalty": 0.5, "scope": "all", "window": 3},
        {"penalty": 0.5, "scope": "all", "window": 2, "decay_range": 4},
    ],
    "dry": [
        {"multiplier": 0.8, "allowed_length": 1, "breakers": []},
        {"multiplier": 0.8, "allowed_length": 1, "breakers": ["f", "bc", 4], "window": 5},
        {"multiplier": 2.0, "base": 1.2, "allowed_length": 1, "breakers": ["cb"], "max_match": 2},
    ],
    "forced_tokens": [{"ids": [2, 1, 3, 5, 1]}, {"ids": [4]}],
    "thinking_budget": [
        {"budget": 1, "open": "b", "close": "ad"},
        {"budget": 0, "open": "cb", "close": "a"},
        {"budget": 3, "open": "c", "close": "fab"},
    ],
    "infill": [{}, {"most": 5}],
    "top_n_sigma": [{}, {"n": 0.3}, {"n": 1.2, "variant": "tgw"}, {"n": 0.5, "min_keep": 3}],
    "top_a": [{"a": 0.3}, {"a": 1.0, "power": 1.0}, {"a": 1.0, "power": 0.5, "min_keep": 4}],
    "tail_free": [{"z": 0.6}, {"z": 0.9, "variant": "kobold"}, {"z": 0.1, "min_keep": 3}],
    "p_step": [{"r": 0.4}, {"r": 1.0, "min_keep": 2}],
    "xtc": [
        {"probability": 0.5},
        {"probability": 1.0, "threshold": 0.05, "protect": ["b", 3], "protect_eos": True},
        {"probability": 0.7, "threshold": 0.02, "protect": ["c"], "variant": "protect_all", "min_keep": 2},
        {"probability": 0.5, "threshold": 0.05, "expected": True},
    ],
    "top_p_decay": [{"p": 0.9}, {"p": 0.9, "decay": 0.5, "p_min": 0.1, "reset": ["b", 2], "min_keep": 2}],
    "dynamic_temperature": [
        {"temperature": 0.7},
        {"temperature": 1.0, "range": 0.5},
        {"temperature": 0.5, "range": 2.0, "exponent": 2.0},
    ],
    "quadratic": [{"factor": 0.3}, {"factor": 0.2, "curve": 2.5}],
    "skew": [{"skew": 0.7}, {"skew": -0.7}],
    "mirostat": [{}, {"tau": 1.0, "eta": 0.5}, {"version": 1, "tau": 1.5, "m": 5}],
    "adaptive_p": [{"target": 0.4}, {"target": 0.1, "decay": 0.5}, {"target": -1.0}],
    "banned_phrases": [{"phrases": ["cb", "a"]}, {"phrases": "B", "ignore_case": True, "draw": False}],
    "gen_length": [{"factor": 0.7}, {"factor": -3.0, "complete_sentences": True, "token": "c", "power": 1.0}],
    "cite_prompt": [{}, {"boost": -0.5, "boost_eos": False, "conditional": 2.0}],
    "force_last_phrase": [{"phrase": "cab"}],
    "trigger_phrase": [
        {"phrase": "cab", "trigger": "b"},
        {"phrase": "ad", "trigger": ["g", 7], "after": True, "count": 2},
        {"phrase": "ad", "trigger_time": 3600},
        {"phrase": "ad", "trigger_time": 0},
    ],
    "multiple_choice": [
        {"choices": ["a", "g", "h"]},
        {"choices": ["g", "h"], "delimiter": "b", "boost_first_words": 0.5},
    ],
    "max_time_eos": [
        {"max_time": 3600},
        {"max_time": 0},
        {"max_time": 0, "complete_sentences": True, "token": [7, "g"]},
    ],
    "prevent_hallucination": [{"min_p": 0.9, "tolerate": 0, "phrase": "cab"}, {"min_p": 0.3, "phrase": "ad"}],
    "stop_regex": [{"pattern": "cb"}, {"pattern": "b+$"}],
    "stop_phrases_any": [
        {"phrases": ["cb", "e"]},
        {"phrases": "CB", "ignore_case": True, "whole_words": True},
    ],
    "loop": [{"times": 2}, {"longest": 2, "times": 3}],
    "sentences": [{"count": 1}],
    "gumbel_watermark": [{"key": 42}, {"key": 7, "context": 1}],
}


FORCES = "what is forced comes even where it was banned"

EXPECTED = {
    "allowed_tokens.never_masks_everything": "everything that it allows may be banned already; the row is named then",
    "force_last_phrase.never_revives_a_banned_token": FORCES,
    "trigger_phrase.never_revives_a_banned_token": FORCES,
    "prevent_hallucination.never_revives_a_banned_token": FORCES,
    "max_time_eos.never_revives_a_banned_token": FORCES,
    "multiple_choice.never_masks_everything": "all choices may be banned already; the row is named then",
    "forced_tokens.never_revives_a_banned_token": FORCES,
    "thinking_budget.never_revives_a_banned_token": FORCES,
}


@parametrize_with_checks(
    [*plugin.provide_steps(), *plugin.provide_strategies()], EXPECTED, samples=SAMPLES, neutral=NEUTRAL
)
def test_samplers_conform(spec, check):
    check(spec)
