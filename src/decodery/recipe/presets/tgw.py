"""text-generation-webui's presets: a flat YAML file. What it leaves out is at the neutral value.

The epsilon and eta cutoffs are in units of 1e-4 there. `temperature_last` and `sampler_priority` change the order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...host.registry import Host
from ..report import Problems, Source
from ..syntax.nodes import MappingNode, is_refused, plain_data
from ..tree import parse
from .common.format import Format
from .common.given import Given
from .common.keys import FLAG, INTEGER, NUMBER, TEXTS, Key, Kind, Knob, Refused
from .common.reading import Read, Reading

ENGINE = "text-generation-webui"
UNIT = -4
"""Its epsilon and eta cutoffs count ten-thousandths."""


def _window(value: object) -> object:
    """0 is the whole text."""
    return INTEGER.read(value) or None


def _breakers(value: object) -> object:
    r"""`"\n", ":"`: texts in double quotes with commas between them, or a list."""
    if not isinstance(value, str):
        return TEXTS.read(value)
    parts = [part.strip() for part in value.strip().strip("[]").split(",")]
    texts = [part[1:-1] for part in parts if len(part) > 2 and part[0] == part[-1] == '"']
    if len(texts) != len([part for part in parts if part]):
        raise Refused('write texts in double quotes: "\\n", ":"')
    return tuple(text.replace("\\n", "\n").replace('\\"', '"') for text in texts)


_WINDOW = Key("repetition_penalty_range", "window", Kind(_window), 1024, shared=True)
_ALL = {"scope": "all"}


def _knob(key: str, step: str, param: str, off: float, scale: int = 0, fixed: Any = None) -> Knob:
    return Knob(step, (Key(key, param, NUMBER, None, scale),), lambda value: value == off, off, fixed or {})


def _penalty(key: str, off: float) -> Knob:
    return Knob(key, (Key(key, key, NUMBER), _WINDOW), lambda value: value == off, off, _ALL)


def _bans(value: object) -> object:
    """ "15, 7": ids with commas between them."""
    if not isinstance(value, str):
        raise Refused("it is a text of token ids: 15, 7")
    parts = [part.strip() for part in value.split(",") if part.strip()]
    if not all(part.isascii() and part.isdecimal() and len(part) < 17 for part in parts):
        raise Refused("it is a text of token ids: 15, 7")
    return tuple((int(part),) for part in parts)


BANS = Knob("bad_words", (Key("custom_token_bans", "bad_words_ids", Kind(_bans)),), lambda ids: not ids)
DYNAMIC = "dynamic_temperature"
ORDER: dict[str, Knob] = {
    "repetition_penalty": _penalty("repetition_penalty", 1.0),
    "presence_penalty": _penalty("presence_penalty", 0.0),
    "frequency_penalty": _penalty("frequency_penalty", 0.0),
    "dry": Knob(
        "dry",
        (
            Key("dry_multiplier", "multiplier", NUMBER),
            Key("dry_base", "base", NUMBER),
            Key("dry_allowed_length", "allowed_length", INTEGER),
            Key("dry_sequence_breakers", "breakers", Kind(_breakers)),
        ),
        lambda multiplier: multiplier == 0,
    ),
    "top_n_sigma": _knob("top_n_sigma", "top_n_sigma", "n", 0.0, fixed={"variant": "tgw"}),
    "temperature": _knob("temperature", "temperature", "temperature", 1.0),
    DYNAMIC: Knob(DYNAMIC, (Key(DYNAMIC, "", FLAG),), lambda on: not on),
    "quadratic_sampling": Knob(
        "quadratic",
        (Key("smoothing_factor", "factor", NUMBER), Key("smoothing_curve", "curve", NUMBER)),
        lambda factor: factor == 0,
    ),
    "top_k": Knob("top_k", (Key("top_k", "top_k", INTEGER),), lambda k: k == 0),
    "top_p": _knob("top_p", "top_p", "top_p", 1.0),
    "typical_p": _knob("typical_p", "typical_p", "typical_p", 1.0),
    "epsilon_cutoff": _knob("epsilon_cutoff", "epsilon_cutoff", "epsilon_cutoff", 0.0, UNIT),
    "eta_cutoff": _knob("eta_cutoff", "eta_cutoff", "eta_cutoff", 0.0, UNIT),
    "tfs": _knob("tfs", "tail_free", "z", 1.0),
    "top_a": _knob("top_a", "top_a", "a", 0.0),
    "min_p": _knob("min_p", "min_p", "min_p", 0.0),
    "adaptive_p": Knob(
        "adaptive_p",
        (Key("adaptive_target", "target", NUMBER), Key("adaptive_decay", "decay", NUMBER)),
        lambda target: target <= 0,
    ),
    "mirostat": Knob(
        "mirostat",
        (
            Key("mirostat_mode", "version", INTEGER),
            Key("mirostat_tau", "tau", NUMBER),
            Key("mirostat_eta", "eta", NUMBER),
        ),
        lambda version: version == 0,
    ),
    "xtc": Knob(
        "xtc",
        (Key("xtc_probability", "probability", NUMBER), Key("xtc_threshold", "threshold", NUMBER)),
        lambda probability: probability == 0,
        fixed={"variant": "protect_all", "protect": ["\n"], "protect_eos": True},
    ),
    "encoder_repetition_penalty": _knob(
        "encoder_repetition_penalty", "encoder_repetition_penalty", "encoder_repetition_penalty", 1.0
    ),
    "no_repeat_ngram": Knob(
        "no_repeat_ngram",
        (Key("no_repeat_ngram_size", "no_repeat_ngram_size", INTEGER),),
        lambda size: size == 0,
    ),
}
"""Its names of the samplers, in its order."""
TEMPERATURES = ("temperature", DYNAMIC, "quadratic_sampling")
_AT_THE_CALL = "about the prompt and the model, not about which token is taken"
KNOWN = {
    "guidance_scale": "it runs the model a second time: the strategy 'mix' does that",
    "negative_prompt": "it goes with guidance_scale",
    "grammar_string": "it constrains the text to a form: no step in the box does; a plugin can",
    "num_beams": "the strategy 'beam'",
    "length_penalty": "the strategy 'beam'",
    "early_stopping": "the strategy 'beam'",
    "static_cache": "how the model is run, not which token is taken",
    **dict.fromkeys(
        ("add_bos_token", "skip_special_tokens", "truncation_length", "auto_max_new_tokens", "stream"),
        _AT_THE_CALL,
    ),
    **dict.fromkeys(
        ("prompt_lookup_num_tokens", "enable_thinking", "reasoning_effort", "name"), _AT_THE_CALL
    ),
}

OFF = {
    "guidance_scale": 1,
    "num_beams": 1,
    "negative_prompt": "",
    "grammar_string": "",
    "custom_token_bans": "",
}
"""Values with which those ask for nothing."""


def read(text: str, source: Source, host: Host) -> Read:
    """A preset's YAML."""
    problems = Problems()
    reading = Reading(ENGINE, source, _given(text, source, problems), host, problems)
    draws = reading.read("do_sample", FLAG, True)
    _strategy(reading, draws)
    if draws:
        reading.seed("seed", none=(-1,))
    reading.exact("seed", note="no effect: nothing is drawn")
    if reading.integer("min_length", 0) > 0:
        values = {"min_new_tokens": reading.integer("min_length")}
        note = "of new tokens; there it may count the prompt"
        reading.step("min_new_tokens", values, {"min_new_tokens": "min_length"}, note, "approximated")
    reading.exact("min_length", note="off")
    reading.knob(BANS)
    for name in _order(reading):
        if name == DYNAMIC:
            _dynamic(reading)
        else:
            reading.knob(ORDER[name])
    reading.exact("repetition_penalty_range", note="the window of the penalties")
    _stops(reading)
    for key, neutral in OFF.items():
        if reading.plain_value(key) == neutral:
            reading.exact(key, note="off")
    reading.rest(KNOWN)
    return reading.finish()


def _given(text: str, source: Source, problems: Problems) -> list[Given]:
    root = parse(text, source, problems)
    if isinstance(root, MappingNode):
        entries = [entry for entry in root.entries if not is_refused(entry.value)]
        return [Given(entry.key.text, plain_data(entry.value), entry.key.span) for entry in entries]
    if root is not None:
        problems.add(
            root.span, "shape", "a preset is a mapping", "write one parameter a line: 'temperature: 0.7'"
        )
    return []


def _strategy(reading: Reading, draws: bool) -> None:
    alpha = reading.number("penalty_alpha", 0.0)
    if alpha > 0 and not draws:
        values = {"top_k": reading.integer("top_k", 4), "penalty_alpha": alpha}
        if reading.strategy("contrastive", values, {"top_k": "top_k", "penalty_alpha": "penalty_alpha"}):
            return
    reading.exact("penalty_alpha", note="no effect unless do_sample is false")
    reading.strategy(
        "sample" if draws else "greedy", {}, {"": "do_sample"} if reading.has("do_sample") else {}
    )


def _order(reading: Reading) -> list[str]:
    given = reading.plain_value("sampler_priority")
    names: list[str] = []
    if isinstance(given, str):
        names = [name.strip() for name in given.replace(",", "\n").split("\n")]
    elif isinstance(given, Sequence):
        names = [name.strip() for name in given if isinstance(name, str)]
    unknown = sorted({name for name in names if name and name not in ORDER})
    if unknown:
        reading.dropped(
            "sampler_priority", f"no step for {', '.join(unknown)[:60]}; the others come in this order"
        )
    reading.exact("sampler_priority", note="the order of the steps")
    first = list(dict.fromkeys(name for name in names if name in ORDER))
    order = [*first, *(name for name in ORDER if name not in first)]
    if reading.read("temperature_last", FLAG, False):
        order = [name for name in order if name not in TEMPERATURES] + [n for n in order if n in TEMPERATURES]
    reading.exact("temperature_last", note="the place of temperature, dynamic temperature and smoothing")
    return order


def _dynamic(reading: Reading) -> None:
    """It gives the least and the greatest temperature where the step has the middle and the distance."""
    low, high = reading.number("dynatemp_low", 1.0), reading.number("dynatemp_high", 1.0)
    keys = ("dynamic_temperature", "dynatemp_low", "dynatemp_high", "dynatemp_exponent")
    if reading.read(DYNAMIC, FLAG, False):
        values = {
            "temperature": round((low + high) / 2, 12),
            "range": round((high - low) / 2, 12),
            "exponent": reading.number("dynatemp_exponent", 1.0),
        }
        reading.step(DYNAMIC, values, dict(zip(("", *values), keys, strict=True)))
    for key in keys:
        reading.exact(key, note="off")


def _stops(reading: Reading) -> None:
    if reading.read("ban_eos_token", FLAG, False):
        count = reading.integer("max_new_tokens", 2**31 - 1)
        values = {"min_new_tokens": count}
        reading.step("min_new_tokens", values, {"min_new_tokens": "ban_eos_token"})
    else:
        reading.exact("ban_eos_token", "eos")
        reading.step("eos", {}, {})
    reading.knob(Knob("max_new_tokens", (Key("max_new_tokens", "max_new_tokens", INTEGER, 512),)))
    reading.knob(
        Knob(
            "stop_strings",
            (Key("custom_stopping_strings", "stop_strings", Kind(_breakers)),),
            lambda t: not t,
        )
    )


FORMAT = Format(
    "tgw", "a preset of text-generation-webui", read, keywords=("text-generation-webui", "oobabooga")
)
