"""Steps that look at the tokens that occurred, as records."""

from typing import Annotated, Literal

from pydantic import Field

from decodery.contracts.params import (
    FiniteFloat,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveInt,
    alias,
    params,
)
from decodery.contracts.specs import StepSpec

from .traits import HISTORY
from .types import Ids, Tokens

HERE = "decodery_samplers.penalties"


@params
class PresencePenaltyParams:
    penalty: Annotated[FiniteFloat, alias("presence_penalty")] = 0.0
    window: PositiveInt | None = None
    scope: Literal["output", "all", "prompt"] = "output"
    decay_range: NonNegativeInt = 0


@params
class FrequencyPenaltyParams:
    penalty: Annotated[FiniteFloat, alias("frequency_penalty")] = 0.0
    window: PositiveInt | None = None
    scope: Literal["output", "all", "prompt"] = "output"
    decay_range: NonNegativeInt = 0


@params
class DryParams:
    multiplier: Annotated[NonNegativeFloat, alias("dry_multiplier")] = 0.0
    base: Annotated[float, Field(ge=1), alias("dry_base")] = 1.75
    allowed_length: Annotated[PositiveInt, alias("dry_allowed_length")] = 2
    window: Annotated[NonNegativeInt, alias("dry_range", "dry_penalty_last_n")] = 0
    breakers: Annotated[Tokens, alias("dry_sequence_breakers")] = ("\n", ":", '"', "*")
    max_match: PositiveInt | None = None


@params
class ForcedTokensParams:
    ids: Ids = ()


def penalties() -> list[StepSpec]:
    return [
        StepSpec(
            name="presence_penalty",
            role="processor",
            factory=f"{HERE}.occurrences:PresencePenalty",
            params=PresencePenaltyParams,
            summary="takes a number off tokens that occurred",
            reference="https://platform.openai.com/docs/api-reference/completions/create",
            needs=frozenset({"prompt_lengths", "padding"}),
            traits=HISTORY,
        ),
        StepSpec(
            name="frequency_penalty",
            role="processor",
            factory=f"{HERE}.occurrences:FrequencyPenalty",
            params=FrequencyPenaltyParams,
            summary="takes a number off tokens for each time they occurred",
            reference="https://platform.openai.com/docs/api-reference/completions/create",
            needs=frozenset({"prompt_lengths", "padding"}),
            traits=HISTORY,
        ),
        StepSpec(
            name="dry",
            role="processor",
            factory=f"{HERE}.dry:Dry",
            params=DryParams,
            summary="takes the more off a token the longer the repetition is that it would go on with",
            reference="https://github.com/oobabooga/text-generation-webui/pull/5677",
            needs=frozenset({"padding"}),
            wants=frozenset({"tokenizer"}),
            traits=frozenset({"ragged", "reads_history"}),
            lowering="decodery_samplers.lowerings:dry",
            aliases=("dry_multiplier",),
        ),
        StepSpec(
            name="forced_tokens",
            role="processor",
            factory=f"{HERE}.forced_tokens:ForcedTokens",
            params=ForcedTokensParams,
            summary="makes the first new tokens those of a trace, and keeps their scores",
            reference="https://docs.vllm.ai",
            needs=frozenset({"prompt_lengths"}),
            traits=HISTORY,
        ),
    ]
