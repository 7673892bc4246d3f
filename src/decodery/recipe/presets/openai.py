"""Requests to OpenAI's completions and chat completions, and to what speaks like them.

OpenAI publishes the formula of the penalties and of the bias, which add to the logits, and no order for temperature
and top_p; the customary one, temperature first, is assumed and said.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ...host.registry import Host
from ..report import Problems, Source
from .common.format import Format
from .common.given import from_json
from .common.keys import INTEGER, Key, Knob
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

ENGINE = "OpenAI"
ORDER = (BIAS, PRESENCE, FREQUENCY, TEMPERATURE, TOP_P)
CHAT_TOKENS = Knob("max_new_tokens", (Key("max_completion_tokens", "max_new_tokens", INTEGER),))
COMPLETION_TOKENS = 16
MOST_STOPS = 4
_SERVICE = "about the service"
KNOWN = {
    **ELSEWHERE,
    **dict.fromkeys(
        (
            "metadata",
            "store",
            "service_tier",
            "prompt_cache_key",
            "safety_identifier",
            "parallel_tool_calls",
            "modalities",
            "audio",
            "prediction",
            "reasoning_effort",
            "verbosity",
            "web_search_options",
        ),
        _SERVICE,
    ),
}


def read(text: str, source: Source, host: Host) -> Read:
    """A request's JSON; what it leaves out is at OpenAI's defaults."""
    problems = Problems()
    reading = Reading(ENGINE, source, from_json(text, source, problems), host, problems)
    greedy = is_greedy(reading, 0.0)
    reading.knob(BIAS)
    reading.knob(PRESENCE)
    reading.knob(FREQUENCY)
    if greedy:
        reading.exact("top_p", note="no effect at temperature 0")
    else:
        warm = reading.knob(TEMPERATURE)
        reading.knob(TOP_P, *(("after temperature, as OpenAI does not say", "approximated") if warm else ()))
    reading.step("eos", {}, {})
    _length(reading)
    reading.knob(STOP)
    how_many(reading)
    reading.rest(KNOWN)
    return reading.finish()


def _length(reading: Reading) -> None:
    if reading.has("max_completion_tokens"):
        reading.knob(CHAT_TOKENS)
        reading.exact("max_tokens", note="no effect: max_completion_tokens takes its place")
    elif reading.has("max_tokens"):
        reading.knob(MAX_TOKENS)
    elif reading.has("prompt"):
        reading.step(
            "max_new_tokens", {"max_new_tokens": COMPLETION_TOKENS}, {"max_new_tokens": "max_tokens"}
        )


def write(recipe: Recipe) -> Written:
    """The parameters of a chat request as JSON; model and messages are for the caller to add."""
    writing = Writing(ENGINE, recipe)
    draws = write_strategy(writing)
    cold = {} if draws else dict.fromkeys(("temperature", "top_p"), "no effect: nothing is drawn")
    writing.processors(
        (BIAS, BIAS_BY_TEXT, PRESENCE, FREQUENCY, *((TEMPERATURE, TOP_P) if draws else ())), cold
    )
    writing.stops((CHAT_TOKENS, STOP))
    stops = writing.keys.get("stop", [])
    if len(stops) > MOST_STOPS:
        writing.keys["stop"] = stops[:MOST_STOPS]
        writing.note("stop.stop_strings", stops[MOST_STOPS:], "dropped", note=f"OpenAI takes {MOST_STOPS}")
    if not writing.has_stop("eos"):
        writing.note("(no eos)", None, "dropped", note="OpenAI always ends at the end of the text")
    writing.settings(keeps_stop_string=False)
    return writing.finish(json.dumps(writing.keys, indent=2, ensure_ascii=False) + "\n")


FORMAT = Format("openai", "a request to OpenAI's completions or chat completions", read, write)
