"""What requests to OpenAI and to vLLM's server have in common."""

from __future__ import annotations

from ..common.keys import INTEGER, NUMBER, TEXT_BIASES, TEXTS, TOKEN_BIASES, Key, Knob
from ..common.reading import Reading
from ..common.writing import Writing

OUTPUT = {"scope": "output"}
"""Their penalties count generated tokens alone."""

BIAS = Knob(
    "sequence_bias", (Key("logit_bias", "pairs", TOKEN_BIASES, None, 0, -100, 100),), lambda bias: not bias
)
BIAS_BY_TEXT = Knob("logit_bias", (Key("logit_bias", "logit_bias", TEXT_BIASES),), lambda bias: not bias)
"""The same key, written from the plugin's step."""
PRESENCE = Knob(
    "presence_penalty",
    (Key("presence_penalty", "presence_penalty", NUMBER, None, 0, -2, 2),),
    lambda penalty: penalty == 0,
    0.0,
    OUTPUT,
)
FREQUENCY = Knob(
    "frequency_penalty",
    (Key("frequency_penalty", "frequency_penalty", NUMBER, None, 0, -2, 2),),
    lambda penalty: penalty == 0,
    0.0,
    OUTPUT,
)
TEMPERATURE = Knob(
    "temperature", (Key("temperature", "temperature", NUMBER, None, 0, 0, 2),), lambda value: value == 1, 1.0
)
TOP_P = Knob("top_p", (Key("top_p", "top_p", NUMBER),), lambda p: p == 1, 1.0)
STOP = Knob("stop_strings", (Key("stop", "stop_strings", TEXTS),), lambda texts: not texts)
MAX_TOKENS = Knob("max_new_tokens", (Key("max_tokens", "max_new_tokens", INTEGER),))

_PROMPT = "the prompt is given at the call"
_TEXT_OUT = "how the answer is sent, not which tokens it has"
_SHAPE = "it constrains the text to a form: no step in the box does; a plugin can"
ELSEWHERE = {
    "model": "the model is given to Decoder",
    "stream": "Decoder.stream",
    "stream_options": _TEXT_OUT,
    "user": "about the account",
    "best_of": "the strategy 'best_of'",
    **dict.fromkeys(("messages", "prompt", "suffix", "echo"), _PROMPT),
    **dict.fromkeys(("response_format", "tools", "tool_choice", "functions", "function_call"), _SHAPE),
}


def is_greedy(reading: Reading, below: float) -> bool:
    """Temperature 0 is the best token, not a draw; the strategy is set either way."""
    temperature = reading.number("temperature", 1.0)
    if (temperature is not None and 0 <= temperature < below) or temperature == 0:
        reading.strategy("greedy", {}, {"": "temperature"}, "draws nothing")
        reading.exact("seed", note="no effect: nothing is drawn")
        return True
    reading.strategy("sample")
    reading.seed("seed", none=(-1,))
    return False


def how_many(reading: Reading) -> None:
    """Rows and log-probabilities, which are asked for at the call."""
    if reading.integer("n", 1) == 1:
        reading.exact("n", note="one row")
    else:
        reading.to_call("n", "n", reading.integer("n"))
    wanted = reading.plain_value("logprobs")
    top = reading.integer("top_logprobs", 0)
    if isinstance(wanted, int) and wanted is not False:
        reading.to_call("logprobs", "logprobs", max(top, int(wanted), 1))
    else:
        reading.exact("logprobs", note="off")
    reading.exact("top_logprobs", note="goes with logprobs")


def write_strategy(writing: Writing) -> bool:
    """Greedy is temperature 0 -> whether the recipe draws."""
    use = writing.recipe.strategy
    if use.spec.name != "sample":
        writing.keys["temperature"] = 0
        known = use.spec.name == "greedy"
        note = "" if known else f"{writing.engine} has no such strategy; greedy is written"
        writing.note("strategy", use.spec.name, "exact" if known else "dropped", "temperature = 0", note)
        if use.seed is not None:
            writing.note("strategy.seed", use.seed, "dropped", note="nothing is drawn")
        return False
    writing.note("strategy", "sample", "exact")
    if use.seed is not None:
        writing.keys["seed"] = use.seed
        note = "repeats a run, but numbers are drawn otherwise there"
        writing.note("strategy.seed", use.seed, "approximated", f"seed = {use.seed}", note)
    return True
