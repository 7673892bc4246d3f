"""A recipe -> the keys of `GenerationConfig`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ....contracts.params import param_values
from ...syntax.write import plain
from ..common.keys import ANY, Key, Knob
from ..common.writing import Writing, Written
from .hf_keys import (
    DEFAULT_NEW_TOKENS,
    ENGINE,
    PROCESSORS,
    RENORMALIZE,
    SAMPLERS,
    STOPS,
    STRATEGIES,
    WATERMARKS,
)

if TYPE_CHECKING:
    from ...recipe import Recipe


def write(recipe: Recipe) -> Written:
    """generation_config.json for `generate`; the report says what it cannot hold."""
    writing = Writing(ENGINE, recipe)
    samples = _write_strategy(writing)
    unlike = {} if samples else {k.step: "generate applies it only with do_sample" for k in SAMPLERS}
    order = (*PROCESSORS, *(SAMPLERS if samples else ()), *_MARKS, RENORMALIZE)
    writing.processors(order, unlike=unlike)
    _pack_watermark(writing)
    _write_stops(writing)
    writing.settings(keeps_stop_string=True)
    if recipe.compat is None and samples:
        writing.note(
            "compat", None, "approximated", note="generate draws from torch's generator, row by row otherwise"
        )
    return writing.finish(json.dumps(writing.keys, indent=2, ensure_ascii=False) + "\n")


_MARKS = tuple(
    Knob(step, tuple(Key(f"{step}.{name}", name, ANY) for name in names))
    for step, names in WATERMARKS.items()
)


def _write_strategy(writing: Writing) -> bool:
    """Write the mode -> whether it samples."""
    use = writing.recipe.strategy
    name = use.spec.name
    samples = name in ("sample", "beam_sample")
    writing.keys["do_sample"] = samples
    values = {key: value for key, value in param_values(use.params).items() if value is not None}
    if name in ("greedy", "sample"):
        writing.note("strategy", name, "exact", f"do_sample = {str(samples).lower()}")
    elif name in STRATEGIES and set(values) <= set(STRATEGIES[name]):
        writing.keys.update({key: plain(value) for key, value in values.items()})
        writing.note("strategy", name, "exact", ", ".join(values))
    else:
        writing.note("strategy", name, "dropped", "greedy", "generate has no such strategy")
    if use.seed is not None:
        writing.note(
            "strategy.seed", use.seed, "dropped", note=f"before generate: torch.manual_seed({use.seed})"
        )
    return samples


def _pack_watermark(writing: Writing) -> None:
    packed = {key.partition(".")[2]: writing.keys.pop(key) for key in list(writing.keys) if "." in key}
    if packed:
        writing.keys["watermarking_config"] = packed


def _write_stops(writing: Writing) -> None:
    writing.stops(STOPS)
    if "stop_strings" in writing.keys and not writing.recipe.include_stop:
        writing.note("include_stop", False, "approximated", note="generate keeps the stop string")
    both = writing.has_stop("eos") and writing.has_stop("stop_token_ids")
    if both:
        writing.note(
            "stop.eos", None, "approximated", note="eos_token_id must hold the model's own ends as well"
        )
    elif writing.has_stop("eos"):
        writing.note("stop.eos", None, "exact", note="the model's own eos_token_id")
    elif not writing.has_stop("stop_token_ids"):
        writing.note("(no eos)", None, "dropped", note="generate always ends at the model's eos_token_id")
    if "max_new_tokens" in writing.keys and "max_length" in writing.keys:
        del writing.keys["max_length"]
        writing.note("stop.max_length", None, "dropped", note="generate heeds max_new_tokens alone")
    elif not {"max_new_tokens", "max_length"} & set(writing.keys):
        note = f"generate ends after {DEFAULT_NEW_TOKENS} new tokens when nothing is said"
        writing.note("(no limit)", None, "dropped", note=note)
