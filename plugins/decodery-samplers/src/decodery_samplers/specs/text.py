"""Steps that know tokens by their text, as records."""

from typing import Annotated

from decodery.contracts.params import NonNegativeInt, PositiveInt, alias, params
from decodery.contracts.specs import StepSpec

from .traits import READS_TEXT, SCORES_ALONE
from .types import Biases, Text, Tokens

LOWERED = "decodery_samplers.lowerings.scores"
HERE = "decodery_samplers.text"


@params
class LogitBiasParams:
    biases: Annotated[Biases, alias("logit_bias")] = ()
    ignore_case: bool = False


@params
class BannedTokensParams:
    tokens: Annotated[Tokens, alias("banned_tokens", "bad_words")] = ()
    ignore_case: bool = False


@params
class AllowedTokensParams:
    tokens: Annotated[Tokens, alias("allowed_token_ids")] = ()
    ignore_case: bool = False


@params
class ThinkingBudgetParams:
    budget: Annotated[NonNegativeInt, alias("thinking_token_budget", "reasoning_budget")]
    open: Text = "<think>"
    close: Text = "</think>"


@params
class InfillParams:
    most: PositiveInt = 256


def text() -> list[StepSpec]:
    return [
        StepSpec(
            name="logit_bias",
            role="processor",
            factory=f"{HERE}.bias:LogitBias",
            params=LogitBiasParams,
            summary="adds a number to the scores of tokens, named by id or by text",
            reference="https://platform.openai.com/docs/api-reference/chat/create",
            wants=frozenset({"tokenizer"}),
            traits=READS_TEXT,
            lowering=f"{LOWERED}:logit_bias",
        ),
        StepSpec(
            name="banned_tokens",
            role="processor",
            factory=f"{HERE}.bias:BannedTokens",
            params=BannedTokensParams,
            summary="bans tokens, and texts in whatever tokens they are spelt",
            reference="https://docs.vllm.ai",
            wants=frozenset({"tokenizer"}),
            traits=READS_TEXT,
            lowering=f"{LOWERED}:banned_tokens",
        ),
        StepSpec(
            name="allowed_tokens",
            role="processor",
            factory=f"{HERE}.bias:AllowedTokens",
            params=AllowedTokensParams,
            summary="bans all tokens but these",
            reference="https://docs.vllm.ai",
            wants=frozenset({"tokenizer"}),
            traits=SCORES_ALONE,
            lowering=f"{LOWERED}:allowed_tokens",
        ),
        StepSpec(
            name="thinking_budget",
            role="processor",
            factory=f"{HERE}.thinking_budget:ThinkingBudget",
            params=ThinkingBudgetParams,
            summary="closes a thought after so many tokens",
            reference="https://docs.vllm.ai",
            needs=frozenset({"tokenizer"}),
            traits=frozenset({"ragged", "reads_history"}),
        ),
        StepSpec(
            name="infill",
            role="processor",
            factory=f"{HERE}.infill:Infill",
            params=InfillParams,
            summary="for filling in the middle: tokens that begin alike vote together, and the end comes early",
            reference="https://github.com/ggml-org/llama.cpp/pull/9896",
            needs=frozenset({"tokenizer", "eos"}),
            traits=SCORES_ALONE - {"compilable"},
        ),
    ]
