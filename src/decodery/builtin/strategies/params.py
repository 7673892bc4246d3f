"""Parameters of the built-in strategies: names, bounds and defaults. The names are Hugging Face's."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from ...contracts.params import FiniteFloat, PositiveFloat, PositiveInt, Probability, alias, params


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
Layers = Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)]


@params
class BeamParams:
    num_beams: PositiveInt = 4
    length_penalty: FiniteFloat = 1.0
    early_stopping: bool | Literal["never"] = False
    num_return_sequences: PositiveInt | None = None
    patience: PositiveFloat = 1.0


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
    num_samples: Annotated[PositiveInt, alias("n", "best_of")] = 4
    score: Literal["mean_logprob", "sum_logprob"] = "mean_logprob"


@params
class MajorityParams:
    num_samples: Annotated[PositiveInt, alias("n")] = 8
    answer: Pattern = ""


@params
class MbrParams:
    num_samples: Annotated[PositiveInt, alias("n")] = 8
    utility: Literal["exact", "token_f1", "edit_similarity"] = "token_f1"
