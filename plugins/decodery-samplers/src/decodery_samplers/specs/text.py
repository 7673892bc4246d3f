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
            formula="x + bias for tokens by id, or by the text that they complete",
            when="a nudge for or against words; -100 and 100 are OpenAI's bans and orders",
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
            formula="-inf for ids, and for tokens that complete a text",
            when="words that must not come, however they are spelt in tokens; for whole phrases the "
            "strategy banned_phrases",
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
            formula="-inf for all other tokens",
            when="classification: yes or no, a letter, a digit",
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
            formula="from budget tokens behind open on: -inf for all but the next token of close",
            when="models that think aloud and do not come to an end",
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
            formula="of two candidates, one the beginning of the other, the likelier gets both P; keep P >= "
            "0.2, then P >= 1 / (texts + 1); the end alone where 3 * candidates * P(end) > the rest",
            when="filling a gap in code, behind a top_k or top_p",
            reference="https://github.com/ggml-org/llama.cpp/pull/9896",
            needs=frozenset({"tokenizer", "eos"}),
            traits=SCORES_ALONE - {"compilable"},
        ),
    ]
