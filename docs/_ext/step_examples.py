"""What each processor is shown doing: its parameters, and a text of the demonstration model where they act.

The pictures draw it, and what a step costs is found out with the same parameters.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

VERY = "She said that she was very"
ONCE = "Once upon a time there was"
AFTER = "They were married, and lived happily ever after."
END = 0
"""The demonstration model's end of text."""


@dataclass(frozen=True, slots=True)
class Example:
    """`prompt` and `new` are texts of the demonstration model, whose next token is asked for; `encoder` is what an
    encoder would have been given. `see` says in a sentence what the picture shows. `dense` are parameters with which
    the planner cannot describe the step, where there are some. `scores`: what changes is not a probability. `spoilt`:
    how many of the best scores are NaN to begin with.
    """

    params: Mapping[str, Any]
    see: str
    prompt: str = VERY
    new: str = ""
    encoder: str = ""
    dense: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    scores: bool = False
    spoilt: int = 0
    eos: int = END


BEST = {" much": 588, " sorry": 1958, " fond": 2653, " well": 684, " glad": 1448, " ill": 1414}
TIRED = "She was very tired and very sorry, and he was very"
LOOP = "She was very glad, and he was very glad, and he"


def _allowed(prompt: int, ids: Any) -> list[int]:
    return [BEST[" sorry"], BEST[" glad"]]


BOX: dict[str, Example] = {
    "temperature": Example(
        {"temperature": 0.5}, "At 0.5 the best tokens gain and the tail falls away; none is banned."
    ),
    "top_k": Example({"k": 10}, "The ten best stay and share what the others had.", dense={"ties": "cut"}),
    "top_p": Example({"p": 0.6}, "The best tokens stay, up to the one that fills 60 per cent."),
    "min_p": Example({"p": 0.1}, "What is less than a tenth as likely as the best token goes."),
    "typical_p": Example(
        {"p": 0.3},
        "The best token goes: it is less surprising than this row is on average.",
        prompt=ONCE,
    ),
    "top_h": Example(
        {"h": 0.4}, "The best tokens stay, up to two fifths of the entropy of the hundred best."
    ),
    "epsilon_cutoff": Example({"epsilon": 0.01}, "What is less likely than 1 per cent goes."),
    "eta_cutoff": Example(
        {"epsilon": 0.1},
        "The bound of 10 per cent has given way to less than a half, because this row is rather flat.",
    ),
    "repetition_penalty": Example(
        {"penalty": 1.3},
        "The words that the text has already, *tired* and *sorry* among them, become less likely.",
        prompt=TIRED,
        dense={"slope": 0.5},
    ),
    "no_repeat_ngram": Example(
        {"ngram_size": 3},
        "*and he was* stood there before, so *was* is banned after *and he*.",
        prompt=LOOP,
    ),
    "min_new_tokens": Example(
        {"min_new_tokens": 10},
        "The end of the text is possible after such a sentence, and is banned.",
        prompt=AFTER,
    ),
    "bad_words": Example(
        {"ids": [[588], [455, 1958]]},
        "*much* is banned, and so is *sorry*, since it would complete *very sorry*.",
    ),
    "sequence_bias": Example(
        {"pairs": [[[2862], 4.0], [[455, 588], -2.0]]}, "*tired* gains, and *much* loses after *very*."
    ),
    "encoder_repetition_penalty": Example(
        {"penalty": 1.5}, "The words of the source gain.", encoder=" The girl was tired, angry and unhappy."
    ),
    "encoder_no_repeat_ngram": Example(
        {"ngram_size": 2},
        "The source has *very sorry*, so *sorry* is banned after *very*.",
        encoder=" He was very sorry.",
    ),
    "min_length": Example(
        {"min_length": 20}, "The text is shorter than twenty tokens, so its end is banned.", prompt=AFTER
    ),
    "forced_bos": Example(
        {"token_id": 263}, "After a prompt of one token *the* is all that may come.", prompt=" In"
    ),
    "forced_eos": Example(
        {"token_ids": END, "max_length": 7},
        "One token before the limit the end is all that may come.",
    ),
    "exponential_decay_length_penalty": Example(
        {"decay": [3, 1.1]},
        "Past three new tokens the end gains, more with each.",
        prompt="They were married,",
        new=" and lived happily ever after.",
    ),
    "suppress_tokens": Example({"ids": [588, 483]}, "*much* and the half word *un* are banned."),
    "begin_suppress_tokens": Example(
        {"ids": [END, 297]},
        "In the first place after the prompt a new paragraph and the end are banned.",
        prompt=AFTER,
    ),
    "remove_invalid_values": Example(
        {}, "The three best scores were NaN, and are 0 now.", scores=True, spoilt=3
    ),
    "renormalize": Example({}, "All scores move by the same amount, to log-probabilities.", scores=True),
    "prefix_allowed_tokens": Example({"fn": _allowed}, "The function allows *sorry* and *glad*."),
    "watermark": Example(
        {"bias": 2.0}, "A quarter of all tokens is green after *very*, and gains two units of score."
    ),
    "synthid_watermark": Example(
        {"keys": [654, 400, 836, 123, 340, 443, 597, 160, 57, 29]},
        "The tournaments of ten keys favour a few tokens, others in every place.",
        new=" much pleased with his being so very",
    ),
    "whisper_timestamps": Example(
        {"no_timestamps_token_id": 2999},
        "Ids from 3000 up stand for timestamps here, and a text begins with one.",
    ),
    "bark_eos_prioritizer": Example(
        {"min_eos_p": 0.1},
        "*much* stands for the end here; it is likelier than a tenth, so nothing else is left.",
        eos=588,
    ),
    "alternating_codebooks": Example(
        {"semantic_vocab_size": 500, "codebook_size": 1000},
        "It is the turn of the first codebook: the ids from 500 to 1,499.",
    ),
    "dia_eos_channel_filter": Example(
        {"num_channels": 1, "eos_token_id": 1958},
        "*sorry* stands for the end here: not the best token, so it is banned, with all ids above it.",
    ),
    "dia_eos_delay_pattern": Example(
        {"delay_pattern": [0], "eos_token_id": 588, "max_generation_len": 64},
        "*much* stands for the end here: it is the best token of the first channel, and all that may come.",
    ),
}
