"""Parameters of the built-in strategies: names, bounds and defaults. The names are Hugging Face's."""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from ...contracts.params import (
    FiniteFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Probability,
    alias,
    params,
)


def _pattern(value: str) -> str:
    try:
        re.compile(value)
    except re.error as error:
        raise PydanticCustomError(
            "pattern",
            "is no regular expression: {why}",
            {"why": str(error), "remedy": "write for example '(\\d+)$'"},
        ) from None
    return value


Pattern = Annotated[str, AfterValidator(_pattern)]


def _apart(words: tuple[Any, ...]) -> tuple[Any, ...]:
    for word in words:
        phrases = [phrase for phrase in word if isinstance(phrase, tuple)]
        for place, one in enumerate(phrases):
            for other in phrases[:place] + phrases[place + 1 :]:
                if other[: len(one)] == one:
                    raise PydanticCustomError(
                        "alternatives",
                        "{one} and {other} are alternatives, and one begins with the other",
                        {
                            "one": list(one),
                            "other": list(other),
                            "remedy": "leave the longer one out",
                        },
                    )
    return words


_Phrase = Annotated[tuple[NonNegativeInt, ...], Field(min_length=1)]
_Word = _Phrase | Annotated[tuple[_Phrase, ...], Field(min_length=1)]
Words = Annotated[tuple[_Word, ...], Field(min_length=1), AfterValidator(_apart)]
"""For each word a phrase of token ids, or a list of phrases of which one is enough."""
Layers = Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)]


Rows = Annotated[PositiveInt, Field(le=100_000)]
"""Of one prompt. Each has scores and a cache of its own: more than this is a mistake."""


@params
class BeamParams:
    num_beams: Rows = 4
    length_penalty: FiniteFloat = 1.0
    early_stopping: bool | Literal["never"] = False
    num_return_sequences: Rows | None = None
    patience: PositiveFloat = 1.0


@params
class DiverseBeamParams:
    num_beams: Rows = 4
    num_beam_groups: PositiveInt = 2
    diversity_penalty: Annotated[FiniteFloat, Field(ge=0)] = 1.0
    length_penalty: FiniteFloat = 1.0
    early_stopping: bool | Literal["never"] = False
    num_return_sequences: Rows | None = None

    @model_validator(mode="after")
    def _equal_groups(self) -> "DiverseBeamParams":
        if self.num_beams % self.num_beam_groups:
            raise PydanticCustomError(
                "groups",
                "{beams} beams cannot be divided into {groups} equal groups",
                {
                    "beams": self.num_beams,
                    "groups": self.num_beam_groups,
                    "remedy": "num_beams is a multiple of num_beam_groups",
                },
            )
        return self


@params
class ConstrainedBeamParams:
    force_words: Annotated[Words, alias("force_words_ids")]
    num_beams: Rows = 4
    length_penalty: FiniteFloat = 1.0
    early_stopping: bool | Literal["never"] = False
    num_return_sequences: Rows | None = None


@params
class AssistedParams:
    num_assistant_tokens: PositiveInt = 5
    do_sample: bool = False
    schedule: Annotated[Literal["constant", "heuristic"], alias("num_assistant_tokens_schedule")] = "constant"
    confidence_threshold: Annotated[Probability, alias("assistant_confidence_threshold")] = 0.0


@params
class PromptLookupParams:
    num_assistant_tokens: Annotated[PositiveInt, alias("prompt_lookup_num_tokens", "candidates")] = 10
    max_matching_ngram_size: Annotated[PositiveInt, alias("ngram_size")] = 2
    do_sample: bool = False


@params
class ContrastiveParams:
    top_k: Annotated[int, Field(ge=2)] = 4
    penalty_alpha: Probability = 0.6


@params
class DolaParams:
    layers: Annotated[Literal["low", "high"] | Layers, alias("dola_layers")] = "high"
    do_sample: bool = False


@params
class MixParams:
    formula: Literal["cfg", "contrastive", "context_aware", "experts"]
    guidance_scale: FiniteFloat = 1.5
    alpha: Annotated[float, Field(ge=0)] | None = None
    beta: Annotated[float, Field(ge=0)] = 0.5
    negative_prompt: str = ""
    do_sample: bool = False


@params
class BestOfParams:
    num_samples: Annotated[Rows, alias("n", "best_of")] = 4
    score: Literal["mean_logprob", "sum_logprob"] = "mean_logprob"


@params
class MajorityParams:
    num_samples: Annotated[Rows, alias("n")] = 8
    answer: Pattern = ""


@params
class MbrParams:
    num_samples: Annotated[Rows, alias("n")] = 8
    utility: Literal["exact", "token_f1", "edit_similarity"] = "token_f1"
