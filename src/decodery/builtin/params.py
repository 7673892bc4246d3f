"""Parameters of the built-in steps: names, bounds and defaults, and Hugging Face's names for them.

Bounds are those of transformers' constructors; the neutral value that `generate` treats as "off" is allowed
too.
"""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from ..contracts.params import (
    FiniteFloat,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Probability,
    TokenIds,
    TokenSequences,
    alias,
    params,
)


def _not_zero(value: object) -> object:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and value == 0:
        raise PydanticCustomError(
            "temperature_zero",
            "must be greater than 0",
            {"remedy": "for the most likely token use the strategy 'greedy'"},
        )
    return value


def _strings(value: object) -> object:
    if isinstance(value, list):
        return tuple(value)
    return (value,) if isinstance(value, str) else value


MinKeep = Annotated[PositiveInt, alias("min_tokens_to_keep")]
Cutoff = Annotated[float, Field(ge=0, lt=1)]
"""A bound on probability: 0 cuts nothing, 1 would cut everything."""
_TEXT = {"type": "string", "minLength": 1}
Strings = Annotated[
    tuple[Annotated[str, Field(min_length=1)], ...],
    BeforeValidator(_strings),
    Field(min_length=1),
    WithJsonSchema({"anyOf": [_TEXT, {"type": "array", "items": _TEXT, "minItems": 1}]}),
]
"""One string or a list of them; always held as a tuple."""


@params
class TemperatureParams:
    temperature: Annotated[PositiveFloat, BeforeValidator(_not_zero)]


@params
class TopKParams:
    k: Annotated[NonNegativeInt, alias("top_k")]
    min_keep: MinKeep = 1
    ties: Literal["keep", "cut"] = "keep"


@params
class TopPParams:
    p: Annotated[Probability, alias("top_p")]
    min_keep: MinKeep = 1


@params
class MinPParams:
    p: Annotated[Probability, alias("min_p")]
    min_keep: MinKeep = 1


@params
class TypicalPParams:
    p: Annotated[float, Field(gt=0, le=1), alias("mass", "typical_p")]
    min_keep: MinKeep = 1


@params
class EpsilonCutoffParams:
    epsilon: Annotated[Cutoff, alias("epsilon_cutoff")]
    min_keep: MinKeep = 1


@params
class EtaCutoffParams:
    epsilon: Annotated[Cutoff, alias("eta_cutoff")]
    min_keep: MinKeep = 1


@params
class TopHParams:
    h: Annotated[float, Field(gt=0, le=1), alias("top_h")]
    min_keep: MinKeep = 1


@params
class RepetitionPenaltyParams:
    penalty: Annotated[PositiveFloat, alias("repetition_penalty")]
    window: PositiveInt | None = None
    scope: Literal["all", "prompt", "output"] = "all"
    slope: Probability = 1.0


@params
class NoRepeatNgramParams:
    ngram_size: Annotated[PositiveInt, alias("no_repeat_ngram_size")]


@params
class MinNewTokensParams:
    min_new_tokens: NonNegativeInt


@params
class BadWordsParams:
    ids: Annotated[TokenSequences, alias("bad_words_ids")]


@params
class SequenceBiasParams:
    pairs: Annotated[
        tuple[tuple[Annotated[tuple[NonNegativeInt, ...], Field(min_length=1)], FiniteFloat], ...],
        Field(min_length=1),
        alias("sequence_bias"),
    ]


@params
class StopTokenIdsParams:
    ids: Annotated[TokenIds, alias("stop_token_ids")]


@params
class MaxNewTokensParams:
    max_new_tokens: PositiveInt


@params
class MaxLengthParams:
    max_length: PositiveInt


@params
class StopStringsParams:
    strings: Annotated[Strings, alias("stop_strings")]


@params
class MaxTimeParams:
    max_time: NonNegativeFloat


@params
class ConfidenceParams:
    threshold: Annotated[Probability, alias("assistant_confidence_threshold")]
