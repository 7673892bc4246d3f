"""Parameters of the built-in strategies: names, bounds and defaults. The names are Hugging Face's."""

from typing import Annotated, Literal

from pydantic import Field

from ...contracts.params import FiniteFloat, PositiveFloat, PositiveInt, Probability, alias, params

Cutoff = Annotated[float, Field(ge=0, lt=1)]


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
