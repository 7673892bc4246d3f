"""vLLM's `SamplingParams` as JSON, and requests to its server with its additions to OpenAI's keys.

The order is that of vLLM's V1 sampler. Where the file has neither a prompt nor messages it is taken for
`SamplingParams`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ...host.registry import Host
from ..report import Problems, Source
from .common.format import Format
from .common.given import Given, from_json
from .common.keys import FLAG, IDS, INTEGER, NUMBER, Key, Knob
from .common.reading import Read, Reading
from .common.writing import Writing, Written
from .engines.requests import (
    BIAS,
    BIAS_BY_TEXT,
    ELSEWHERE,
    FREQUENCY,
    MAX_TOKENS,
    PRESENCE,
    STOP,
    TEMPERATURE,
    TOP_P,
    how_many,
    is_greedy,
    write_strategy,
)

if TYPE_CHECKING:
    from ..recipe import Recipe

ENGINE = "vLLM"
GREEDY_BELOW = 1e-5
COLDEST = 0.01
"""A temperature above 0 and below this is raised to it."""
DEFAULT_TOKENS = 16

ALLOWED = Knob("allowed_tokens", (Key("allowed_token_ids", "ids", IDS),), lambda ids: not ids)
MIN_TOKENS = Knob(
    "min_new_tokens", (Key("min_tokens", "min_new_tokens", INTEGER),), lambda least: least == 0, 0
)
REPETITION = Knob(
    "repetition_penalty",
    (Key("repetition_penalty", "repetition_penalty", NUMBER, None, 0, 0.01, 2),),
    lambda penalty: penalty == 1,
    1.0,
)
MIN_P = Knob("min_p", (Key("min_p", "min_p", NUMBER),), lambda p: p == 0, 0.0)
TOP_K = Knob("top_k", (Key("top_k", "top_k", INTEGER),), lambda k: k in (-1, 0), 0)
BEFORE = (BIAS, REPETITION, PRESENCE, FREQUENCY)
DRAWN = (TEMPERATURE, MIN_P, TOP_K, TOP_P)
STOP_IDS = Knob("stop_token_ids", (Key("stop_token_ids", "stop_token_ids", IDS),), lambda ids: not ids)

_TEXT = "how tokens are turned into text"
_ENGINE = "how the engine runs, not which token is taken"
_SHAPE = "it constrains the text to a form: no step in the box does; a plugin can"
KNOWN = {
    **ELSEWHERE,
    "bad_words": "texts; the step 'bad_words' takes their token ids",
    "prompt_logprobs": "log-probabilities of prompts are not given here",
    "truncate_prompt_tokens": "the prompt is given at the call",
    "logits_processors": "functions, which no file can hold: Pipeline.add",
    "thinking_token_budget": "the step 'thinking_budget' of decodery-samplers wants its open and close texts",
    **dict.fromkeys(
        ("detokenize", "skip_special_tokens", "spaces_between_special_tokens", "add_special_tokens"), _TEXT
    ),
    **dict.fromkeys(
        ("output_kind", "priority", "extra_args", "vllm_xargs", "request_id", "skip_clone"), _ENGINE
    ),
    **dict.fromkeys(
        (
            "guided_decoding",
            "structured_outputs",
            "guided_json",
            "guided_regex",
            "guided_choice",
            "guided_grammar",
            "guided_decoding_backend",
            "guided_whitespace_pattern",
        ),
        _SHAPE,
    ),
}


def read(text: str, source: Source, host: Host) -> Read:
    """`SamplingParams` or a request; what it leaves out is at vLLM's defaults."""
    problems = Problems()
    reading = Reading(ENGINE, source, _flat(from_json(text, source, problems)), host, problems)
    if reading.read("use_beam_search", FLAG, False):
        _beams(reading)
        draws = False
    else:
        reading.exact("use_beam_search", note="off")
        draws = not is_greedy(reading, GREEDY_BELOW)
        how_many(reading)
    reading.knob(ALLOWED)
    ids = reading.read("stop_token_ids", IDS, ())
    note = "it bans the end of the text, and there the stop_token_ids too" if ids else ""
    reading.knob(MIN_TOKENS, note, "approximated" if ids else "exact")
    for knob in BEFORE:
        reading.knob(knob)
    for knob in DRAWN:
        if draws:
            _drawn(reading, knob)
        else:
            reading.exact(knob.keys[0].name, note="no effect: nothing is drawn")
    _stops(reading)
    reading.rest(KNOWN)
    return reading.finish()


def _flat(given: list[Given]) -> list[Given]:
    """With the keys of `extra_body`, which the OpenAI client sends beside the others."""
    added: list[Given] = []
    outer: list[Given] = []
    for found in given:
        if found.key == "extra_body" and isinstance(found.value, Mapping):
            added += [Given(str(key), value, found.span) for key, value in found.value.items()]
        else:
            outer.append(found)
    taken = {found.key for found in added}
    return [found for found in outer if found.key not in taken] + added


def _drawn(reading: Reading, knob: Knob) -> None:
    temperature = reading.number("temperature", 1.0)
    if knob is TEMPERATURE and temperature < COLDEST:
        note = f"vLLM raises it to {COLDEST}"
        reading.step("temperature", {"temperature": COLDEST}, {"temperature": "temperature"}, note)
    else:
        reading.knob(knob)


def _beams(reading: Reading) -> None:
    width = max(reading.integer("n", 1), reading.integer("best_of", 1))
    values = {"num_beams": width, "num_return_sequences": reading.integer("n", 1)}
    keys = {"num_beams": "use_beam_search", "num_return_sequences": "n"}
    for key in ("length_penalty", "early_stopping"):
        if reading.has(key):
            values[key], keys[key] = reading.plain_value(key), key  # type: ignore[assignment]
    if not reading.strategy("beam", values, keys):
        reading.strategy("greedy")
    reading.exact("best_of", note="the number of beams")
    reading.exact("seed", note="no effect: nothing is drawn")


def _stops(reading: Reading) -> None:
    if reading.read("ignore_eos", FLAG, False):
        reading.exact("ignore_eos", "no rule 'eos'")
    else:
        reading.exact("ignore_eos", "eos")
        reading.step("eos", {}, {})
    reading.knob(STOP_IDS)
    if reading.has("max_completion_tokens") and not reading.has("max_tokens"):
        values = {"max_new_tokens": reading.integer("max_completion_tokens")}
        reading.step("max_new_tokens", values, {"max_new_tokens": "max_completion_tokens"})
    elif reading.has("max_tokens"):
        reading.knob(MAX_TOKENS)
        reading.exact("max_completion_tokens", note="no effect: max_tokens is there")
    elif not reading.says("max_tokens") and not reading.has("messages"):
        reading.step("max_new_tokens", {"max_new_tokens": DEFAULT_TOKENS}, {"max_new_tokens": "max_tokens"})
    reading.knob(STOP)
    keeps = reading.read("include_stop_str_in_output", FLAG, False)
    reading.exact("include_stop_str_in_output", f"include_stop: {str(keeps).lower()}")
    reading.fields["include_stop"] = keeps


def write(recipe: Recipe) -> Written:
    """`SamplingParams` as JSON; the same keys go into a request."""
    writing = Writing(ENGINE, recipe)
    draws = write_strategy(writing)
    cold = {} if draws else {knob.step: "no effect: nothing is drawn" for knob in DRAWN}
    order = (ALLOWED, MIN_TOKENS, BIAS, BIAS_BY_TEXT, *BEFORE[1:], *(DRAWN if draws else ()))
    writing.processors(order, cold)
    if not writing.has_stop("eos"):
        writing.keys["ignore_eos"] = True
        writing.note("(no eos)", None, "exact", "ignore_eos = true")
    writing.stops((MAX_TOKENS, STOP, STOP_IDS))
    if "min_tokens" in writing.keys and "stop_token_ids" in writing.keys:
        note = "vLLM bans the stop_token_ids until then, too"
        writing.note("stop.stop_token_ids", None, "approximated", note=note)
    if not writing.has_stop("max_new_tokens"):
        writing.keys["max_tokens"] = None
        writing.note("(no limit)", None, "exact", "max_tokens = null")
    if recipe.include_stop:
        writing.keys["include_stop_str_in_output"] = True
        writing.note("include_stop", True, "exact", "include_stop_str_in_output = true")
    writing.settings(keeps_stop_string=True)
    return writing.finish(json.dumps(writing.keys, indent=2, ensure_ascii=False) + "\n")


FORMAT = Format("vllm", "vLLM's SamplingParams, or a request to its server", read, write)
