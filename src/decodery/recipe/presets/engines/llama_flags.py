"""llama.cpp's flags: what each is called, and the samplers that they set.

Names and defaults are those of `llama-cli --help`.
"""

from __future__ import annotations

import math

from ..common.keys import INTEGER, NUMBER, TEXTS, Key, Kind, Knob, Refused


def _window(value: object) -> int | None:
    """-1 is the whole context."""
    count = INTEGER.read(value)
    return None if count == -1 else count  # type: ignore[return-value]


def _dry_window(value: object) -> object:
    """-1 is the whole context, which the step calls 0."""
    count = INTEGER.read(value)
    return 0 if count == -1 else count


def _breakers(value: object) -> object:
    texts = TEXTS.read(value)
    return () if texts == ("none",) else texts


def _written_breakers(value: object) -> object:
    return list(value) if isinstance(value, (list, tuple)) and value else ["none"]


WINDOW = Kind(_window, lambda value: -1 if value is None else value)
DRY_WINDOW = Kind(_dry_window, lambda value: value or -1)
BREAKERS = Kind(_breakers, _written_breakers)
_LAST_N = Key("--repeat-last-n", "window", WINDOW, 64, shared=True)
_ALL = {"scope": "all"}


REPEAT = Knob(
    "repetition_penalty",
    (Key("--repeat-penalty", "repetition_penalty", NUMBER, 1.0), _LAST_N),
    lambda penalty: penalty == 1,
    1.0,
    _ALL,
)
PRESENCE = Knob(
    "presence_penalty",
    (Key("--presence-penalty", "presence_penalty", NUMBER, 0.0), _LAST_N),
    lambda penalty: penalty == 0,
    0.0,
    _ALL,
)
FREQUENCY = Knob(
    "frequency_penalty",
    (Key("--frequency-penalty", "frequency_penalty", NUMBER, 0.0), _LAST_N),
    lambda penalty: penalty == 0,
    0.0,
    _ALL,
)
DRY = Knob(
    "dry",
    (
        Key("--dry-multiplier", "multiplier", NUMBER, 0.0),
        Key("--dry-base", "base", NUMBER, 1.75),
        Key("--dry-allowed-length", "allowed_length", INTEGER, 2),
        Key("--dry-penalty-last-n", "window", DRY_WINDOW, 64),
        Key("--dry-sequence-breaker", "breakers", BREAKERS, ("\n", ":", '"', "*")),
    ),
    lambda multiplier: multiplier == 0,
    0.0,
)
TOP_N_SIGMA = Knob("top_n_sigma", (Key("--top-n-sigma", "n", NUMBER, -1.0),), lambda n: n <= 0, -1.0)
TOP_K = Knob("top_k", (Key("--top-k", "top_k", INTEGER, 40),), lambda k: k <= 0, 0, {"ties": "cut"})
TYPICAL = Knob("typical_p", (Key("--typical", "typical_p", NUMBER, 1.0),), lambda p: p >= 1, 1.0)
TOP_P = Knob("top_p", (Key("--top-p", "top_p", NUMBER, 0.95),), lambda p: p >= 1, 1.0)
MIN_P = Knob("min_p", (Key("--min-p", "min_p", NUMBER, 0.05),), lambda p: p <= 0, 0.0)
XTC = Knob(
    "xtc",
    (Key("--xtc-probability", "probability", NUMBER, 0.0), Key("--xtc-threshold", "threshold", NUMBER, 0.1)),
    lambda probability: probability <= 0,
    0.0,
)
TEMPERATURE = Knob("temperature", (Key("--temp", "temperature", NUMBER, 0.8),), lambda value: value == 1, 1.0)
DYNAMIC = Knob(
    "dynamic_temperature",
    (
        Key("--temp", "temperature", NUMBER, 0.8),
        Key("--dynatemp-range", "range", NUMBER, 0.0),
        Key("--dynatemp-exp", "exponent", NUMBER, 1.0),
    ),
)
ADAPTIVE = Knob(
    "adaptive_p",
    (Key("--adaptive-target", "target", NUMBER, -1.0), Key("--adaptive-decay", "decay", NUMBER, 0.9)),
    lambda target: target < 0,
    -1.0,
)
MIROSTAT = Knob(
    "mirostat",
    (
        Key("--mirostat", "version", INTEGER, 0),
        Key("--mirostat-ent", "tau", NUMBER, 5.0),
        Key("--mirostat-lr", "eta", NUMBER, 0.1),
    ),
    lambda version: version == 0,
    0,
)

BIAS = "sequence_bias"
LENGTH = Knob("max_new_tokens", (Key("--n-predict", "max_new_tokens", INTEGER, -1),), lambda count: count < 0)
STOP = Knob("stop_strings", (Key("--reverse-prompt", "stop_strings", TEXTS),), lambda texts: not texts)
FOREVER = 2**31 - 1

SAMPLERS: dict[str, tuple[Knob, ...]] = {
    "penalties": (REPEAT, PRESENCE, FREQUENCY),
    "dry": (DRY,),
    "top_n_sigma": (TOP_N_SIGMA,),
    "top_k": (TOP_K,),
    "typ_p": (TYPICAL,),
    "top_p": (TOP_P,),
    "min_p": (MIN_P,),
    "xtc": (XTC,),
    "temperature": (TEMPERATURE,),
    "adaptive_p": (ADAPTIVE,),
}
"""Names of `--samplers`; those before adaptive_p are the default, in its order."""
DEFAULT_ORDER = tuple(SAMPLERS)[:-1]
OTHER_NAMES = {
    "top-k": "top_k", "top-p": "top_p", "nucleus": "top_p", "top-n-sigma": "top_n_sigma", "min-p": "min_p",
    "typical-p": "typ_p", "typical": "typ_p", "typ-p": "typ_p", "typ": "typ_p", "temp": "temperature",
    "adaptive-p": "adaptive_p",
}  # fmt: skip
LETTERS = {
    "e": "penalties", "d": "dry", "s": "top_n_sigma", "k": "top_k", "y": "typ_p", "p": "top_p", "m": "min_p",
    "x": "xtc", "t": "temperature", "a": "adaptive_p", "i": "infill",
}  # fmt: skip
"""Those of `--sampler-seq`."""

SPELLINGS = {
    "--temperature": "--temp", "--top-nsigma": "--top-n-sigma", "--typical-p": "--typical", "-s": "--seed",
    "-n": "--n-predict", "--predict": "--n-predict", "-r": "--reverse-prompt", "-l": "--logit-bias",
    "--sampling-seq": "--sampler-seq", "-e": "--escape", "-p": "--prompt", "-f": "--file", "-m": "--model",
    "-sys": "--system-prompt", "-hf": "--hf-repo", "-j": "--json-schema", "-jf": "--json-schema-file",
}  # fmt: skip
MANY = frozenset({"--reverse-prompt", "--logit-bias", "--dry-sequence-breaker"})
"""Flags that may be repeated; each adds."""
SWITCHES = frozenset({"--ignore-eos", "--escape", "--no-escape"})
TEXT_FLAGS = frozenset(
    {
        "--samplers", "--sampler-seq", "--prompt", "--file", "--model", "--system-prompt", "--hf-repo", "--grammar",
        "--grammar-file", "--json-schema", "--json-schema-file", *MANY,
    }
)  # fmt: skip
"""Flags whose one value is a text, whatever it begins with."""
NUMBER_FLAGS = frozenset(
    {
        "--seed",
        "--n-predict",
        "--repeat-last-n",
        *(key.name for knobs in SAMPLERS.values() for knob in knobs for key in knob.keys),
        *(key.name for knob in (DYNAMIC, MIROSTAT) for key in knob.keys),
    }
) - MANY  # fmt: skip

_PROMPT = "the prompt is given at the call"
_MODEL = "the model is given to Decoder"
_RUN = "how the model is run, not which token is taken"
_SHAPE = "it constrains the text to a form: no step in the box does; a plugin can"
ELSEWHERE = {
    **dict.fromkeys(("--prompt", "--file", "--system-prompt"), _PROMPT),
    **dict.fromkeys(("--model", "--hf-repo"), _MODEL),
    **dict.fromkeys(
        (
            "-c",
            "--ctx-size",
            "-ngl",
            "--gpu-layers",
            "--n-gpu-layers",
            "-t",
            "--threads",
            "-b",
            "--batch-size",
            "-ub",
            "--ubatch-size",
            "-fa",
            "--flash-attn",
            "--mlock",
            "--no-mmap",
            "--keep",
            "--host",
            "--port",
            "-np",
            "--parallel",
            "--jinja",
            "-cnv",
            "-no-cnv",
            "-i",
            "--color",
            "-v",
            "--verbose",
            "--no-warmup",
            "-ctk",
            "-ctv",
        ),
        _RUN,
    ),
    **dict.fromkeys(("--grammar", "--grammar-file", "--json-schema", "--json-schema-file"), _SHAPE),
}


def token_bias(text: str) -> tuple[int, float]:
    """ "15043-1.5" -> (15043, -1.5). Raises `Refused`."""
    cut = next((place for place, char in enumerate(text) if char in "+-"), len(text))
    digits, bias = text[:cut], text[cut:]
    try:
        number = float(bias) if digits.isascii() and digits.isdecimal() and len(digits) < 17 else None
    except ValueError:
        number = None
    if number is None or math.isnan(number):
        raise Refused("write a token id, a sign and a number: 15043-1.5")
    return int(digits), number
