"""What is known of steps by their names, where their records cannot say it: kinds, neutral values, engines' orders.

Orders: transformers' `GenerationMixin._get_logits_processor`; llama.cpp's `common_params_sampling.samplers`.
"""

from __future__ import annotations

from typing import Literal

Family = Literal["ban", "scale", "add", "history", "temperature", "cut", "unknown"]
ANYTHING = object()
"""Equal to no value."""

FAMILIES: dict[str, Family] = {
    **dict.fromkeys(
        (
            "no_repeat_ngram",
            "encoder_no_repeat_ngram",
            "bad_words",
            "min_length",
            "min_new_tokens",
            "suppress_tokens",
            "begin_suppress_tokens",
            "prefix_allowed_tokens",
            "allowed_tokens",
            "banned_tokens",
        ),
        "ban",
    ),
    # These commute with a temperature, as they multiply.
    **dict.fromkeys(("repetition_penalty", "encoder_repetition_penalty"), "scale"),
    **dict.fromkeys(
        ("sequence_bias", "logit_bias", "presence_penalty", "frequency_penalty", "dry"),
        "add",
    ),
    **dict.fromkeys(("temperature", "dynamic_temperature"), "temperature"),
    **dict.fromkeys(
        (
            "top_k",
            "top_p",
            "min_p",
            "typical_p",
            "epsilon_cutoff",
            "eta_cutoff",
            "top_h",
            "top_n_sigma",
            "top_a",
            "tail_free",
            "p_less",
            "p_step",
            "top_p_decay",
            "xtc",
        ),
        "cut",
    ),
}  # type: ignore[assignment]

NEUTRAL: dict[str, object] = {
    "temperature": 1,
    "top_k": 0,
    "top_p": 1,
    "min_p": 0,
    "typical_p": 1,
    "epsilon_cutoff": 0,
    "eta_cutoff": 0,
    "repetition_penalty": 1,
    "encoder_repetition_penalty": 1,
    "min_new_tokens": 0,
    "min_length": 0,
    "top_a": 0,
    "tail_free": 1,
    "p_step": 0,
    "top_p_decay": 1,
    "xtc": 0,
    "presence_penalty": 0,
    "frequency_penalty": 0,
    "dry": 0,
}
"""The first parameter's value that changes nothing."""

TIGHTER: dict[str, Literal["smaller", "larger"]] = {
    "top_k": "smaller",
    "min_p": "larger",
    "epsilon_cutoff": "larger",
    "no_repeat_ngram": "smaller",
    "min_new_tokens": "larger",
    "min_length": "larger",
    "max_new_tokens": "smaller",
    "max_length": "smaller",
    "max_time": "smaller",
}
"""Steps whose looser twin has nothing left to do, and which of two values is the tighter."""

HUGGING_FACE = ("top_h", "top_k", "top_p", "min_p", "typical_p", "epsilon_cutoff", "eta_cutoff")
LLAMA_CPP = ("top_n_sigma", "top_k", "typical_p", "top_p", "min_p", "xtc")
"""The cuts, in the order in which each engine makes them."""
COMMUTE = frozenset({frozenset({"top_k", "min_p"})})
"""Cuts that keep the same tokens in either order: by rank, and by the ratio to the best."""
