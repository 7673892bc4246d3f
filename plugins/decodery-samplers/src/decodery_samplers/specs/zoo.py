"""The seven of logits-processor-zoo, as records."""

from typing import Annotated

from pydantic import Field

from decodery.contracts.params import (
    FiniteFloat,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveInt,
    Probability,
    alias,
    params,
)
from decodery.contracts.specs import StepSpec

from .traits import HISTORY, READS_TEXT
from .types import Text, Texts, Tokens

HERE = "decodery_samplers.zoo"
SOURCE = "https://github.com/NVIDIA/logits-processor-zoo"


@params
class GenLengthParams:
    factor: Annotated[FiniteFloat, alias("boost_factor")] = 0.0
    power: Annotated[NonNegativeFloat, alias("p")] = 2.0
    complete_sentences: bool = False
    token: Annotated[Tokens, alias("boost_token_str")] = ()


@params
class CitePromptParams:
    boost: Annotated[FiniteFloat, alias("boost_factor")] = 1.0
    boost_eos: bool = True
    conditional: Annotated[FiniteFloat, alias("conditional_boost_factor")] = 0.0


@params
class ForceLastPhraseParams:
    phrase: Text


@params
class TriggerPhraseParams:
    phrase: Text
    trigger: Annotated[Tokens, alias("trigger_token_phrase")] = ()
    trigger_time: NonNegativeFloat | None = None
    count: Annotated[PositiveInt, alias("trigger_count")] = 1
    after: Annotated[bool, alias("trigger_after")] = False


@params
class MultipleChoiceParams:
    choices: Annotated[Texts, Field(min_length=1)] = ("1", "2", "3", "4")
    delimiter: Text = "."
    boost_first_words: FiniteFloat = 0.0


@params
class MaxTimeEosParams:
    max_time: NonNegativeFloat
    complete_sentences: bool = False
    token: Annotated[Tokens, alias("boost_token_str")] = ()


@params
class PreventHallucinationParams:
    min_p: Annotated[Probability, alias("minp")] = 0.4
    tolerate: NonNegativeInt = 1
    phrase: Text = "...I don't know actually.\n"


def zoo() -> list[StepSpec]:
    return [
        StepSpec(
            name="gen_length",
            role="processor",
            factory=f"{HERE}.endings:GenLength",
            params=GenLengthParams,
            summary="makes the end of the text likelier, or less likely, with every token",
            formula="of the ends: x + factor * (new tokens / 10)**power",
            when="answers that run on, factor above 0, or stop short, below 0",
            reference=SOURCE,
            needs=frozenset({"tokenizer", "eos", "prompt_lengths"}),
            traits=HISTORY,
            aliases=("GenLengthLogitsProcessor",),
            lowering="decodery_samplers.lowerings.idle:gen_length",
        ),
        StepSpec(
            name="cite_prompt",
            role="processor",
            factory=f"{HERE}.from_prompt:CitePrompt",
            params=CitePromptParams,
            summary="makes the tokens of the prompt likelier",
            formula="of the prompt's tokens: x + boost, and x + conditional where the newest token is before "
            "them in the prompt",
            when="answers that should use the words of a given text",
            reference=SOURCE,
            needs=frozenset({"eos", "prompt_lengths"}),
            traits=HISTORY,
            aliases=("CiteFromPromptLogitsProcessor",),
            lowering="decodery_samplers.lowerings.idle:cite_prompt",
        ),
        StepSpec(
            name="force_last_phrase",
            role="processor",
            factory=f"{HERE}.forced_phrases:ForceLastPhrase",
            params=ForceLastPhraseParams,
            summary="writes a phrase before the end of the text",
            formula="where the end would be the best token, first the phrase, once",
            when="a closing line that must be there, like a source",
            reference=SOURCE,
            needs=frozenset({"tokenizer", "eos"}),
            aliases=("ForceLastPhraseLogitsProcessor",),
        ),
        StepSpec(
            name="trigger_phrase",
            role="processor",
            factory=f"{HERE}.forced_phrases:TriggerPhrase",
            params=TriggerPhraseParams,
            summary="writes a phrase in the place of a token, after it, or after some time",
            formula="where a trigger would be the best token, or after trigger_time, the phrase in its place "
            "or behind it",
            when="a second thought: a phrase that makes the model look again",
            reference=SOURCE,
            needs=frozenset({"tokenizer"}),
            aliases=("TriggerPhraseLogitsProcessor",),
        ),
        StepSpec(
            name="multiple_choice",
            role="processor",
            factory=f"{HERE}.from_prompt:MultipleChoice",
            params=MultipleChoiceParams,
            summary="bans all tokens but the labels of some choices",
            formula="-inf for all but the labels of choices",
            when="questions with given answers; boost_first_words weighs the answers' own words",
            reference=SOURCE,
            needs=frozenset({"tokenizer", "prompt_lengths"}),
            traits=READS_TEXT,
            aliases=("MultipleChoiceLogitsProcessor",),
        ),
        StepSpec(
            name="max_time_eos",
            role="processor",
            factory=f"{HERE}.endings:MaxTimeEos",
            params=MaxTimeEosParams,
            summary="ends the text after so many seconds, with the end-of-sequence token",
            formula="after max_time seconds: -inf for all but the end; with complete_sentences behind a "
            "sentence",
            when="a service that must answer in time and in whole sentences",
            reference=SOURCE,
            needs=frozenset({"tokenizer", "eos", "prompt_lengths"}),
            # Not stateless: the same call has another answer later.
            traits=frozenset({"ragged", "reads_history"}),
            aliases=("MaxTimeLogitsProcessor",),
        ),
        StepSpec(
            name="prevent_hallucination",
            role="processor",
            factory=f"{HERE}.forced_phrases:PreventHallucination",
            params=PreventHallucinationParams,
            summary="writes a phrase when the best token was unlikely too often",
            formula="where the best P was below min_p more often than tolerate, the phrase",
            when="answers that should say so when the model does not know",
            reference=SOURCE,
            needs=frozenset({"tokenizer"}),
            aliases=("PreventHallucinationLogitsProcessor",),
        ),
    ]
