"""llama.cpp's command lines: `llama-cli`, `llama-server` and the others share these flags.

The order is that of `--samplers`; logit biases come before it. What no flag says is at llama.cpp's defaults, which cut
(top-k 40, top-p 0.95, min-p 0.05, temperature 0.8).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ...host.registry import Host
from ..report import Problems, Source
from .common.format import Format
from .common.keys import Refused
from .common.reading import ENDLESS_TOKENS, Read, Reading
from .engines import llama_flags as flags
from .engines.llama_words import given
from .engines.llama_write import write
from .engines.words import split

if TYPE_CHECKING:
    pass

ENGINE = "llama.cpp"
RANDOM_SEEDS = (-1, 2**32 - 1)
BANNED = -1e9
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")


def read(text: str, source: Source, host: Host) -> Read:
    """One command line, or its flags alone; `\\` ends a line that goes on, `#` begins a comment."""
    problems = Problems()
    words = split(text, source, problems)
    found, overridden, idle = given(words, problems)
    reading = Reading(ENGINE, source, found, host, problems)
    for other in overridden:
        reading.remark(other.key, str(other.value), "exact", "no effect: it is given again")
    for word in idle:
        if _VARIABLE.match(word.text):
            why = "variables of the environment are not read: write the flag"
            reading.remark(word.text, "", "dropped", why)
        else:
            reading.remark(word.text, "", "exact", "the program")
    order = _order(reading)
    cold = reading.number("--temp", flags.TEMPERATURE.keys[0].default) <= 0 and (
        "temperature" in order or reading.integer("--mirostat", 0) != 0
    )
    if cold:
        reading.strategy("greedy", {}, {"": "--temp"}, "only the best token is left")
        reading.exact("--seed", note="no effect: nothing is drawn")
    else:
        reading.strategy("sample")
        reading.seed("--seed", none=RANDOM_SEEDS, bits=32)
    _bias(reading)
    _endless(reading)
    if reading.integer("--mirostat", 0) != 0:
        _mirostat(reading, cold)
    else:
        _chain(reading, order, cold)
    reading.exact("--escape", note="\\n and the like are newlines")
    reading.exact("--no-escape", note="texts are taken as they stand")
    if not reading.switched("--ignore-eos"):
        reading.step("eos", {}, {})
    reading.knob(flags.LENGTH)
    reading.knob(flags.STOP)
    reading.rest(flags.ELSEWHERE, "has no such flag for sampling")
    return reading.finish()


def _order(reading: Reading) -> list[str]:
    """The samplers' names, in order."""
    if reading.has("--samplers"):
        reading.exact("--sampler-seq", note="no effect: --samplers is there")
        text = str(reading.plain_value("--samplers"))
        names = [
            flags.OTHER_NAMES.get(name.strip().lower(), name.strip().lower()) for name in text.split(";")
        ]
        key = "--samplers"
    elif reading.has("--sampler-seq"):
        key = "--sampler-seq"
        names = [flags.LETTERS.get(letter, letter) for letter in str(reading.plain_value(key))]
    else:
        return list(flags.DEFAULT_ORDER)
    names = [name for name in names if name]
    known = list(dict.fromkeys(name for name in names if name in flags.SAMPLERS))
    others = sorted({name for name in names if name not in flags.SAMPLERS})
    if others:
        reading.dropped(key, f"no step for {', '.join(others)[:60]}; the others come in this order")
    elif len(known) < len(names):
        reading.note(key, "approximated", "the order of the steps", "a sampler named twice runs once here")
    reading.exact(key, note="the order of the steps")
    # adaptive-p chooses the token, so llama.cpp puts it last wherever it stands.
    return [
        *(name for name in known if name != "adaptive_p"),
        *(["adaptive_p"] if "adaptive_p" in known else []),
    ]


def _bias(reading: Reading) -> None:
    pairs = []
    texts: Any = reading.plain_value("--logit-bias") or ()
    infinite = False
    for text in texts:
        try:
            token, bias = flags.token_bias(str(text))
        except Refused as error:
            reading.problem("--logit-bias", f"--logit-bias {str(text)[:40]}", str(error))
            return
        infinite = infinite or bias in (float("inf"), float("-inf"))
        pairs.append([[token], max(min(bias, -BANNED), BANNED)])
    if pairs:
        note = "infinity is written as a thousand million" if infinite else ""
        reading.step(
            flags.BIAS,
            {"pairs": pairs},
            {"pairs": "--logit-bias"},
            note,
            "approximated" if infinite else "exact",
        )


def _endless(reading: Reading) -> None:
    """--ignore-eos bans the end of the text."""
    if reading.switched("--ignore-eos"):
        count = reading.integer("--n-predict", -1)
        unlimited = flags.FOREVER if reading.has("--reverse-prompt") else ENDLESS_TOKENS
        least = count if count > 0 else unlimited
        reading.step("min_new_tokens", {"min_new_tokens": least}, {"min_new_tokens": "--ignore-eos"})


def _mirostat(reading: Reading, cold: bool) -> None:
    if not cold:
        reading.knob(flags.TEMPERATURE)
        reading.knob(flags.MIROSTAT)
    for key in reading.given_keys():
        if key in flags.NUMBER_FLAGS - {"--seed", "--n-predict"} or key in ("--samplers", "--sampler-seq"):
            reading.exact(key, note="no effect: --mirostat takes the samplers' place")
    reading.exact("--dry-sequence-breaker", note="no effect: --mirostat takes the samplers' place")


def _chain(reading: Reading, order: list[str], cold: bool) -> None:
    done: list[str] = []
    for name in order:
        if name == "temperature" and cold:
            break  # behind it there is one token left
        if name == "penalties" and reading.integer("--repeat-last-n", 64) == 0:
            for knob in flags.SAMPLERS[name]:
                reading.exact(knob.keys[0].name, note="no effect: --repeat-last-n is 0")
        elif name == "dry" and reading.integer("--dry-penalty-last-n", 64) == 0:
            for key in flags.DRY.keys:
                reading.exact(key.name, note="no effect: --dry-penalty-last-n is 0")
        elif name == "temperature":
            _temperature(reading)
        else:
            for knob in flags.SAMPLERS[name]:
                reading.knob(knob)
        done.append(name)
    reading.exact("--repeat-last-n", note="the window of the penalties")
    why = "no effect: only the best token is left by then" if cold else "no effect: not among the samplers"
    for knobs in flags.SAMPLERS.values():
        for key in (key for knob in (*knobs, flags.DYNAMIC) for key in knob.keys):
            reading.exact(key.name, note=why)
    for key in flags.MIROSTAT.keys:
        reading.exact(key.name, note="off")


def _temperature(reading: Reading) -> None:
    if reading.number("--dynatemp-range", 0.0) > 0:
        if reading.knob(flags.DYNAMIC):
            return
    else:
        reading.exact("--dynatemp-range", note="off")
        reading.exact("--dynatemp-exp", note="no effect: --dynatemp-range is off")
    reading.knob(flags.TEMPERATURE)


FORMAT = Format("llama.cpp", "llama.cpp's command line", read, write, ("llama-cli", "llama-cpp"))
