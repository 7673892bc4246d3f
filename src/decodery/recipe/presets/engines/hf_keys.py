"""The keys of transformers' `GenerationConfig` that are steps, in the order in which `generate` applies them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ..common.keys import FLAG, ID_SEQUENCES, IDS, INTEGER, NUMBER, TEXTS, Key, Kind, Knob, Refused

_TUPLE = re.compile(r"\(\s*(\d{1,16}(?:\s*,\s*\d{1,16})*)\s*,?\s*\)\Z", re.ASCII)


def _biases(value: object) -> tuple[tuple[tuple[int, ...], float], ...]:
    """[[[45, 67], -0.6]], {(45, 67): -0.6}, or {"(45, 67)": -0.6} as transformers writes the latter to a file."""
    items: Any = list(value.items()) if isinstance(value, Mapping) else value
    if not isinstance(items, (list, tuple)):
        raise Refused("it is a list of pairs: [[token ids], bias]")
    pairs = []
    for item in items:
        if not isinstance(item, (list, tuple)) or len(item) != 2:
            raise Refused("it is a list of pairs: [[token ids], bias]")
        sequence, bias = item
        match = _TUPLE.match(sequence) if isinstance(sequence, str) else None
        if match:
            sequence = [int(part) for part in match[1].split(",")]
        pairs.append((IDS.read(sequence), NUMBER.read(bias)))
    return tuple(pairs)  # type: ignore[arg-type]


def _decay(value: object) -> tuple[int, float]:
    if not isinstance(value, (list, tuple)) or len(value) != 2:
        raise Refused("it is a pair: [start, factor]")
    return INTEGER.read(value[0]), NUMBER.read(value[1])  # type: ignore[return-value]


SEQUENCE_BIAS = Kind(_biases, lambda pairs: [[list(ids), bias] for ids, bias in pairs])
DECAY = Kind(_decay, list)


def _one(name: str, step: str, kind: Kind, off: Any = None, default: Any = None) -> Knob:
    """A step with one parameter, which has Hugging Face's name as an alias; `off` and empty lists switch it off."""
    return Knob(step, (Key(name, name, kind, default),), lambda value: value in (off, ()), off)


def _switch(name: str, step: str) -> Knob:
    """A step without parameters."""
    return Knob(step, (Key(name, "", FLAG),), lambda value: not value)


PROCESSORS = (
    _one("sequence_bias", "sequence_bias", SEQUENCE_BIAS),
    _one("encoder_repetition_penalty", "encoder_repetition_penalty", NUMBER, 1.0),
    _one("repetition_penalty", "repetition_penalty", NUMBER, 1.0),
    _one("no_repeat_ngram_size", "no_repeat_ngram", INTEGER, 0),
    _one("encoder_no_repeat_ngram_size", "encoder_no_repeat_ngram", INTEGER, 0),
    _one("bad_words_ids", "bad_words", ID_SEQUENCES),
    _one("min_length", "min_length", INTEGER, 0),
    _one("min_new_tokens", "min_new_tokens", INTEGER, 0),
    _one("forced_bos_token_id", "forced_bos", INTEGER),
    _one("forced_eos_token_id", "forced_eos", IDS),
    _switch("remove_invalid_values", "remove_invalid_values"),
    _one("exponential_decay_length_penalty", "exponential_decay_length_penalty", DECAY),
    _one("suppress_tokens", "suppress_tokens", IDS),
    _one("begin_suppress_tokens", "begin_suppress_tokens", IDS),
)
SAMPLERS = (
    _one("temperature", "temperature", NUMBER, 1.0),
    _one("top_h", "top_h", NUMBER),
    _one("top_k", "top_k", INTEGER, 0, default=50),
    _one("top_p", "top_p", NUMBER, 1.0),
    _one("min_p", "min_p", NUMBER, 0.0),
    _one("typical_p", "typical_p", NUMBER, 1.0),
    _one("epsilon_cutoff", "epsilon_cutoff", NUMBER, 0.0),
    _one("eta_cutoff", "eta_cutoff", NUMBER, 0.0),
)
"""Applied only if `do_sample` is true; top_k=50 is on then unless something else is said."""
RENORMALIZE = _switch("renormalize_logits", "renormalize")
WATERMARKS = {
    "watermark": ("greenlist_ratio", "bias", "hashing_key", "seeding_scheme", "context_width"),
    "synthid_watermark": (
        "ngram_len",
        "keys",
        "context_history_size",
        "sampling_table_seed",
        "sampling_table_size",
        "skip_first_ngram_calls",
        "debug_mode",
    ),
}
"""Step -> the keys of `watermarking_config` that are its parameters; the second kind has an ngram_len."""

ENGINE = "transformers"
DEFAULT_NEW_TOKENS = 20
DEFAULTS_OF_4: dict[str, object] = {
    "max_length": DEFAULT_NEW_TOKENS,
    "num_assistant_tokens": 20,
    "num_assistant_tokens_schedule": "constant",
    "assistant_confidence_threshold": 0.4,
    "assistant_lookbehind": 10,
    "target_lookbehind": 10,
}
"""What a GenerationConfig of transformers 4 has written in when nobody says it, and what 5 has not."""
BEAMS = ("num_beams", "length_penalty", "early_stopping", "num_return_sequences")
STRATEGIES = {
    "beam": BEAMS,
    "beam_sample": BEAMS,
    "diverse_beam": (*BEAMS, "num_beam_groups", "diversity_penalty"),
    "constrained_beam": (*BEAMS, "force_words_ids"),
    "contrastive": ("top_k", "penalty_alpha"),
    "dola": ("dola_layers",),
    "prompt_lookup": ("prompt_lookup_num_tokens", "max_matching_ngram_size"),
}
"""Strategy -> the keys that are its parameters."""
STOPS = (
    Knob("max_new_tokens", (Key("max_new_tokens", "max_new_tokens", INTEGER),)),
    Knob("max_length", (Key("max_length", "max_length", INTEGER),)),
    Knob("max_time", (Key("max_time", "max_time", NUMBER),)),
    Knob("stop_strings", (Key("stop_strings", "stop_strings", TEXTS),)),
    Knob("stop_token_ids", (Key("eos_token_id", "stop_token_ids", IDS),)),
)

_MODEL = "how the model is run, not which token is taken"
_ASSISTANT = "only for an assistant model, which the call names: the strategy 'assisted'"
_RETURNED = "what generate returns; Decoder.generate takes return_scores=True and logprobs=K"
BELONGS_ELSEWHERE = {
    "transformers_version": "about the file",
    "_from_model_config": "about the file",
    "_commit_hash": "about the file",
    "bos_token_id": "a fact about the model; Decoder asks the model",
    "decoder_start_token_id": "a fact about the model; decoder_prompts= starts the decoder otherwise",
    "token_healing": "prompts are taken as they are",
    "guidance_scale": "it runs the model a second time: the strategy 'mix' does that",
    "prefix_allowed_tokens_fn": "a function, which no file can hold: Pipeline.add",
    "constraints": "Python objects, which no file can hold",
    **dict.fromkeys(
        [
            "use_cache",
            "cache_implementation",
            "cache_config",
            "max_cache_len",
            "return_legacy_cache",
            "low_memory",
            "use_mtp",
            "prefill_chunk_size",
            "compile_config",
            "disable_compile",
            "continuous_batching_config",
        ],
        _MODEL,
    ),
    **dict.fromkeys(
        [
            "is_assistant",
            "num_assistant_tokens",
            "num_assistant_tokens_schedule",
            "assistant_confidence_threshold",
            "assistant_early_exit",
            "assistant_lookbehind",
            "target_lookbehind",
            "assistant_ensemble_weight",
            "speculation_type",
        ],
        _ASSISTANT,
    ),
    **dict.fromkeys(
        [
            "output_attentions",
            "output_hidden_states",
            "output_scores",
            "output_logits",
            "return_dict_in_generate",
        ],
        _RETURNED,
    ),
}


def asks_for_nothing(key: str, value: object) -> bool:
    """The values of those keys that change nothing."""
    return value in (False, None) or (key == "guidance_scale" and value == 1)
