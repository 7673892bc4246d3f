"""Stop rules, as records."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from decodery.contracts.params import PositiveInt, alias, params
from decodery.contracts.specs import StepSpec

from .types import Text, Texts

HERE = "decodery_samplers.stopping"
READS_IDS = frozenset({"stateless", "ragged", "reads_history", "ids_only"})


def _expression(value: str) -> str:
    try:
        re.compile(value)
    except re.error as error:
        raise PydanticCustomError(
            "regex", "{why}", {"why": str(error), "remedy": "mend the regular expression"}
        ) from None
    return value


@params
class StopRegexParams:
    pattern: Annotated[Text, AfterValidator(_expression), alias("stop_regex")]


@params
class StopPhrasesAnyParams:
    phrases: Annotated[Texts, Field(min_length=1)]
    ignore_case: bool = False
    whole_words: bool = False


@params
class LoopParams:
    longest: PositiveInt = 20
    times: Annotated[PositiveInt, Field(ge=2)] = 4


@params
class SentencesParams:
    count: PositiveInt


def stopping() -> list[StepSpec]:
    return [
        StepSpec(
            name="stop_regex",
            role="stop",
            factory=f"{HERE}.texts:StopRegex",
            params=StopRegexParams,
            summary="ends a row when its new text matches a regular expression",
            formula="the new text has a match of pattern",
            when="formats whose end is a pattern: a number, a closing brace",
            reference="https://docs.sglang.ai",
            needs=frozenset({"tokenizer", "prompt_lengths"}),
            traits=READS_IDS,
        ),
        StepSpec(
            name="stop_phrases_any",
            role="stop",
            factory=f"{HERE}.texts:StopPhrasesAny",
            params=StopPhrasesAnyParams,
            summary="ends a row when one of these phrases is complete, in any case or as whole words if asked",
            formula="the newest token completes one of phrases in the new text",
            when="phrases in any case or as whole words, which stop_strings cannot say",
            reference="https://docs.vllm.ai",
            needs=frozenset({"tokenizer", "prompt_lengths"}),
            traits=READS_IDS,
        ),
        StepSpec(
            name="loop",
            role="stop",
            factory=f"{HERE}.loop:Loop",
            params=LoopParams,
            summary="ends a row that repeats a pattern of tokens",
            formula="the newest tokens are one pattern of 1 to longest tokens, times over",
            when="greedy decoding of a small model, which may never end by itself",
            reference="https://github.com/turboderp-org/exllamav3",
            needs=frozenset({"prompt_lengths"}),
            traits=READS_IDS | {"compilable"},
        ),
        StepSpec(
            name="sentences",
            role="stop",
            factory=f"{HERE}.texts:Sentences",
            params=SentencesParams,
            summary="ends a row after so many sentences",
            formula="the new text has count ends of sentences",
            when="short prose that should not be cut in the middle",
            reference="a rule of this package's own",
            needs=frozenset({"tokenizer", "prompt_lengths"}),
            traits=READS_IDS,
        ),
    ]
