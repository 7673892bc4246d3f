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
LOWERED = "decodery_samplers.lowerings.history"


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
            formula="of tokens that occurred: x - penalty",
            when="new topics, 0.1 to 1; a model that loops needs frequency_penalty or dry",
            reference="https://platform.openai.com/docs/api-reference/completions/create",
            needs=frozenset({"prompt_lengths", "padding"}),
            traits=HISTORY,
            lowering=f"{LOWERED}:presence_penalty",
        ),
        StepSpec(
            name="frequency_penalty",
            role="processor",
            factory=f"{HERE}.occurrences:FrequencyPenalty",
            params=FrequencyPenaltyParams,
            summary="takes a number off tokens for each time they occurred",
            formula="x - penalty * how often the token occurred",
            when="words that are overused, 0.1 to 1; in long texts it reaches `the` and the comma too, so "
            "with a window",
            reference="https://platform.openai.com/docs/api-reference/completions/create",
            needs=frozenset({"prompt_lengths", "padding"}),
            traits=HISTORY,
            lowering=f"{LOWERED}:frequency_penalty",
        ),
        StepSpec(
            name="dry",
            role="processor",
            factory=f"{HERE}.dry:Dry",
            params=DryParams,
            summary="takes the more off a token the longer the repetition is that it would go on with",
            formula="of tokens that would go on with a repetition of k >= allowed_length tokens: x - "
            "multiplier * base**(k - allowed_length)",
            when="loops and repeated sentences, with single words left alone; 0.8",
            reference="https://github.com/oobabooga/text-generation-webui/pull/5677",
            needs=frozenset({"padding"}),
            wants=frozenset({"tokenizer"}),
            traits=frozenset({"ragged", "reads_history"}),
            lowering=f"{LOWERED}:dry",
            aliases=("dry_multiplier",),
        ),
        StepSpec(
            name="forced_tokens",
            role="processor",
            factory=f"{HERE}.forced_tokens:ForcedTokens",
            params=ForcedTokensParams,
            summary="makes the first new tokens those of a trace, and keeps their scores",
            formula="at the n-th new token, n up to the number of ids: -inf for all but ids[n]",
            when="scoring a text that is already there, or replaying a trace",
            reference="https://docs.vllm.ai",
            needs=frozenset({"prompt_lengths"}),
            traits=HISTORY,
            lowering="decodery_samplers.lowerings.idle:forced_tokens",
        ),
    ]
