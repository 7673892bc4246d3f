"""Hugging Face's generation_config.json and `GenerationConfig`, as `generate` of transformers 5.23 understands them.

The order of the steps is `generate`'s own, whatever the order of the keys. Bounds are checked where `generate`
lets a value pass in silence (`top_p: 1.5`).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...contracts.errors import InvalidInput, RecipeError
from ...host.registry import Host
from ..report import Problem, Problems, Source, render
from ..syntax.text import MAX_BYTES
from ..syntax.text import read as read_text
from .common.format import Format
from .common.given import Given, from_json, from_mapping
from .common.keys import FLAG, IDS
from .common.reading import Read, Reading
from .engines.hf_keys import (
    BELONGS_ELSEWHERE,
    DEFAULT_NEW_TOKENS,
    DEFAULTS_OF_4,
    ENGINE,
    PROCESSORS,
    RENORMALIZE,
    SAMPLERS,
    STOPS,
    STRATEGIES,
    WATERMARKS,
    asks_for_nothing,
)
from .engines.hf_write import write

if TYPE_CHECKING:
    pass

_UNUSED = {
    "length_penalty": "no effect without beams",
    "early_stopping": "no effect without beams",
    "num_beam_groups": "no effect without beams",
    "diversity_penalty": "no effect without groups of beams",
    "penalty_alpha": "no effect without top_k above 1, greedy and one beam",
    "max_matching_ngram_size": "no effect without prompt_lookup_num_tokens",
}


def read(cfg: object, host: Host | None = None) -> Read:
    """A `GenerationConfig`, a dict of its keys, the path of a file, or of the directory that the file lies in.

    Raises `RecipeError` with every bad value, `InvalidInput` for what is none of these.
    """
    host = host or Host()
    if isinstance(cfg, Mapping):
        name, given = "<dict>", from_mapping(cfg, "<dict>")
    elif isinstance(cfg, (str, os.PathLike)):
        return _read_path(Path(cfg), host)
    elif callable(getattr(cfg, "to_dict", None)):
        name = type(cfg).__name__
        given = from_mapping(_plain(cfg), name)
    else:
        raise InvalidInput(
            f"a generation config is a GenerationConfig, a dict or a path, not a {type(cfg).__name__}",
            remedy="for example model.generation_config",
        )
    return _read(given, Source(name), host, Problems())


def _read_path(path: Path, host: Host) -> Read:
    file = path / "generation_config.json" if path.is_dir() else path
    problems = Problems()
    try:
        with open(file, "rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        problem = Problem(f"the file cannot be read: {reason}", "check the path", str(file), code="not-found")
        raise RecipeError(render([problem]), [problem]) from None
    found = read_text(raw, str(file), problems)
    if found is None:
        raise RecipeError(render(problems), problems)
    source, text = found
    return _read(from_json(text, source, problems), source, host, problems)


def _read_text(text: str, source: Source, host: Host) -> Read:
    problems = Problems()
    return _read(from_json(text, source, problems), source, host, problems)


def _plain(cfg: Any) -> dict[str, object]:
    """The keys of a `GenerationConfig`; of transformers 4 its defaults are not told from what a user wrote."""
    data = {key: value for key, value in cfg.to_dict().items() if value is not None}
    marks = data.get("watermarking_config")
    if marks is not None and hasattr(marks, "to_dict"):
        data["watermarking_config"] = marks.to_dict()
    library = sys.modules.get(type(cfg).__module__.partition(".")[0])
    if str(getattr(library, "__version__", "")).startswith("4."):
        # There `max_length` 20 counts new tokens, as does nothing here; the others are for an assistant.
        return {key: value for key, value in data.items() if DEFAULTS_OF_4.get(key) != value}
    return data


def _read(given: list[Given], source: Source, host: Host, problems: Problems) -> Read:
    reading = Reading(ENGINE, source, given, host, problems)
    reading.fields["compat"] = "hf"
    samples = bool(reading.read("do_sample", FLAG, False))
    _strategy(reading, samples)
    for knob in PROCESSORS:
        if knob.step == "min_length" and reading.has("min_new_tokens"):
            reading.exact("min_length", note="no effect: min_new_tokens takes its place")
        elif knob.step == "begin_suppress_tokens" and reading.has("forced_bos_token_id"):
            _begin(reading)
        else:
            reading.knob(knob)
    for knob in SAMPLERS:
        if samples:
            reading.knob(knob)
        elif not reading.taken(knob.keys[0].name):
            reading.exact(knob.keys[0].name, note="no effect: do_sample is not true")
    _watermark(reading)
    reading.knob(RENORMALIZE)
    _stops(reading)
    _facts(reading)
    for key, why in BELONGS_ELSEWHERE.items():
        if why == "about the file":
            reading.exact(key, note=why)
        elif asks_for_nothing(key, reading.plain_value(key)):
            reading.exact(key, note="asks for nothing")
    reading.rest(BELONGS_ELSEWHERE)
    return reading.finish()


def _strategy(reading: Reading, samples: bool) -> None:
    """The mode that `generate` finds; where nobody provides it, the plainer one that it builds on."""
    beams = _beams(reading)
    for name in _modes(reading, samples, beams):
        keys = {key: key for key in STRATEGIES.get(name, ()) if reading.has(key)}
        values = {key: reading.plain_value(key) for key in keys}
        if name == "prompt_lookup" and samples:
            values["do_sample"], keys["do_sample"] = True, "do_sample"
        if reading.strategy(name, values, keys):
            break
    reading.exact("do_sample", f"strategy: {reading.fields['strategy'].qualified}")
    for key in ("num_beams", "num_beam_groups", "num_return_sequences"):
        if reading.integer(key, 1) == 1:
            reading.exact(key, note="off")
    for key, why in _UNUSED.items():
        reading.exact(key, note=why)
    if not reading.taken("num_return_sequences") and reading.has("num_return_sequences"):
        reading.to_call("num_return_sequences", "n", reading.integer("num_return_sequences"))


def _beams(reading: Reading) -> int:
    beams: int = reading.integer("num_beams", 1)
    rows = reading.integer("num_return_sequences", 1)
    if beams < 1:
        reading.problem("num_beams", f"num_beams = {beams}", "it is at least 1")
    elif 1 < beams < rows:
        message = f"num_return_sequences = {rows}"
        reading.problem("num_return_sequences", message, f"it is at most num_beams, {beams}")
    return max(beams, 1)


def _modes(reading: Reading, samples: bool, beams: int) -> Iterator[str]:
    """Strategies, the best first; what the later ones do without is in the report."""
    if reading.has("force_words_ids"):
        yield "constrained_beam"
    if beams > 1:
        if reading.integer("num_beam_groups", 1) > 1:
            yield "diverse_beam"
        yield "beam_sample" if samples else "beam"
    elif reading.has("dola_layers"):
        yield "dola"
    elif reading.has("prompt_lookup_num_tokens"):
        yield "prompt_lookup"
    elif not samples and reading.number("penalty_alpha", 0.0) > 0 and reading.integer("top_k", 50) > 1:
        yield "contrastive"
    yield "sample" if samples else "greedy"


def _begin(reading: Reading) -> None:
    """Behind a forced first token the beginning is one later."""
    ids = reading.read("begin_suppress_tokens", IDS)
    if ids:
        values = {"begin_suppress_tokens": ids, "after_forced_bos": True}
        reading.step("begin_suppress_tokens", values, {"begin_suppress_tokens": "begin_suppress_tokens"})
    reading.exact("begin_suppress_tokens", note="off")


def _watermark(reading: Reading) -> None:
    if not reading.has("watermarking_config"):
        return
    config = reading.plain_value("watermarking_config")
    if not isinstance(config, Mapping):
        reading.problem("watermarking_config", "watermarking_config is an object", 'write {"bias": 2.0}')
        return
    name = "synthid_watermark" if "ngram_len" in config else "watermark"
    values = {key: value for key, value in config.items() if key in WATERMARKS[name]}
    reading.step(name, values, dict.fromkeys(values or [""], "watermarking_config"))
    others = [key for key in config if key not in WATERMARKS[name]]
    if others:
        reading.dropped(
            "watermarking_config", f"transformers' watermark has no {', '.join(map(repr, others))}"
        )


def _stops(reading: Reading) -> None:
    reading.step("eos", {}, {})
    if reading.has("eos_token_id"):
        ids = reading.read("eos_token_id", IDS, ())
        reading.decoder["eos_token_id"] = list(ids)
        note = f"ends at the model's own; Decoder(eos_token_id={list(ids)}) says which"
        reading.note("eos_token_id", "approximated", "eos", note)
    if reading.has("max_new_tokens"):
        reading.exact("max_length", note="no effect: max_new_tokens takes its place")
    elif not reading.has("max_length"):
        reading.step(
            "max_new_tokens",
            {"max_new_tokens": DEFAULT_NEW_TOKENS},
            {"max_new_tokens": "max_new_tokens"},
        )
    for knob in STOPS[:-1]:
        if not reading.taken(knob.keys[0].name):
            reading.knob(knob)
    if reading.has("stop_strings"):
        reading.fields["include_stop"] = True  # generate's tokens end with it


def _facts(reading: Reading) -> None:
    if reading.has("pad_token_id"):
        pad = reading.integer("pad_token_id")
        if pad is not None and pad >= 0:
            reading.decoder["pad_token_id"] = pad
        reading.dropped("pad_token_id", f"a fact about the model; Decoder(pad_token_id={pad}) says it")


FORMAT = Format(
    "hf",
    "Hugging Face's generation_config.json",
    _read_text,
    write,
    ("transformers", "huggingface", "hugging-face", "generation_config"),
)
