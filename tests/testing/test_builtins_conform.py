"""The kit over everything in the box."""

from __future__ import annotations

from dataclasses import replace

from hf_versions import FOUR

from decodery.contracts.specs import StepSpec, StrategySpec
from decodery.host.registry import Host
from decodery.testing import parametrize_with_checks

HOST = Host("")

# Hours and none at all: a limit of a fraction of a second would pass in the middle of a check.
SAMPLES = {
    # No more results than beams.
    "beam": [{"num_beams": 3}, {"num_beams": 3, "num_return_sequences": 2}],
    "beam_sample": [{"num_beams": 3}, {"num_beams": 3, "num_return_sequences": 2}],
    "diverse_beam": [{"num_beams": 4, "num_beam_groups": 2}, {"num_beams": 4, "num_return_sequences": 2}],
    "constrained_beam": [{"force_words": [[2]], "num_beams": 3}, {"force_words": [[[2], [3, 4]]]}],
    # The other formulas need further models or texts, which a recipe cannot bring; they are tried below.
    "mix": [{"formula": "cfg"}, {"formula": "cfg", "guidance_scale": 3.0, "do_sample": True}],
    "max_time": [{"max_time": 3600}, {"max_time": 0}],
    "prefix_allowed_tokens": {"fn": lambda prompt, ids: [prompt % 3, 3 + len(ids) % 2, 6, 7]},
    "watermark": {"greenlist_ratio": 0.5, "context_width": 2},
    "synthid_watermark": [{"keys": [3, 1, 4], "ngram_len": 3}, {"keys": [5], "skip_first_ngram_calls": True}],
    "whisper_timestamps": [
        {"no_timestamps_token_id": 5},
        {"no_timestamps_token_id": 5, "detect_from_logprob": False},
    ],
    "alternating_codebooks": {"semantic_vocab_size": 2, "codebook_size": 3},
    # Rows are channels; with one channel each row is a text of its own, like any other step's.
    "dia_eos_channel_filter": {"num_channels": 1},
    "dia_eos_delay_pattern": [{"delay_pattern": [0]}, {"delay_pattern": [2], "eos_token_id": 3}],
    "exponential_decay_length_penalty": [{"decay": [1, 1.2]}, {"decay": [0, 0.9]}],
}

# Neutral by transformers' `generate`, which leaves a step out at these values.
NEUTRAL = {
    "temperature": {"temperature": 1.0},
    "top_k": {"k": 0},
    "top_p": {"p": 1.0},
    "min_p": {"p": 0.0},
    "typical_p": {"p": 1.0},
    "epsilon_cutoff": {"epsilon": 0.0},
    "eta_cutoff": {"epsilon": 0.0},
    "repetition_penalty": {"penalty": 1.0},
    "encoder_repetition_penalty": {"penalty": 1.0},
    "min_length": {"min_length": 0},
    "min_new_tokens": {"min_new_tokens": 0},
    "exponential_decay_length_penalty": {"decay": [3, 1.0]},
    "sequence_bias": {"pairs": [[[1], 0.0]]},
}

# Equal to transformers' class bit for bit, this included.
EXPECTED = {
    "forced_eos.never_revives_a_banned_token": "forcing a token is what it is for; as in transformers",
    "remove_invalid_values.agrees_with_float64": "the least number of a dtype is the dtype's",
    "remove_invalid_values.never_revives_a_banned_token": "-inf is an invalid value to it; as in transformers",
    "prefix_allowed_tokens.never_revives_a_banned_token": "where all allowed ones are banned; as in transformers",
    "prefix_allowed_tokens.params_round_trip": "a function cannot be written to YAML",
    "synthid_watermark.agrees_with_float64": "the least number of a dtype stands for the log of 0; as in transformers",
    "synthid_watermark.never_revives_a_banned_token": "it stands for banned tokens too; as in transformers",
    "alternating_codebooks.never_masks_everything": "a codebook's tokens may all be banned already",
    "dia_eos_channel_filter.never_masks_everything": "the tokens after the end are special ones in Dia",
    "dia_eos_delay_pattern.never_revives_a_banned_token": "it forces the end, as in transformers",
    "min_p.agrees_with_float64": "min_keep ranks probabilities, and those that are 0 in float32 tie, as in HF",
}
if FOUR:  # it leaves them banned
    del EXPECTED["prefix_allowed_tokens.never_revives_a_banned_token"]
    EXPECTED["prefix_allowed_tokens.never_masks_everything"] = (
        "where all allowed ones are banned; as in transformers"
    )


@parametrize_with_checks(
    [*HOST.builtin(StepSpec), *HOST.builtin(StrategySpec)], EXPECTED, samples=SAMPLES, neutral=NEUTRAL
)
def test_builtins_conform(spec, check):
    check(spec)


def mix_with(*roles: str) -> StrategySpec:
    """A record of mix that has the kit bring a model for each of these roles."""
    mix = next(spec for spec in HOST.builtin(StrategySpec) if spec.name == "mix")
    return replace(mix, name=f"mix_{roles[0]}", roles=roles)


@parametrize_with_checks(
    [mix_with("amateur"), mix_with("without"), mix_with("expert", "anti_expert"), mix_with("negative")],
    samples={
        "mix_amateur": [
            {"formula": "contrastive"},
            {"formula": "contrastive", "beta": 1.5, "do_sample": True},
        ],
        "mix_without": [{"formula": "context_aware"}, {"formula": "context_aware", "do_sample": True}],
        "mix_expert": [{"formula": "experts"}, {"formula": "experts", "alpha": 0.3, "do_sample": True}],
        "mix_negative": [{"formula": "cfg"}, {"formula": "cfg", "guidance_scale": 3.0, "do_sample": True}],
    },
)
def test_every_formula_of_mix_conforms(spec, check):
    check(spec)
