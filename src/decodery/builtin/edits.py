"""Processors that favour, ban and force tokens by id, length or the encoder's text, as records."""

from __future__ import annotations

from ..contracts.specs import StepSpec
from . import edit_params as params
from .processors import HISTORY, SCORES_ALONE

HERE = "decodery.builtin.reference"
LOWERED = "decodery.builtin.lowerings.edits"


def encoder_readers() -> list[StepSpec]:
    """Steps that look at what the encoder was given."""
    return [
        StepSpec(
            name="encoder_repetition_penalty",
            role="processor",
            factory=f"{HERE}.encoder:EncoderRepetitionPenalty",
            params=params.EncoderRepetitionPenaltyParams,
            summary="makes the encoder's tokens likelier, so that less is invented",
            formula="of tokens in the encoder's text: x * penalty where x > 0, x / penalty where x < 0",
            when="summaries and translations that invent names: above 1 they keep to the words of the source",
            reference="transformers.EncoderRepetitionPenaltyLogitsProcessor",
            needs=frozenset({"encoder_ids", "encoder_lengths"}),
            traits=SCORES_ALONE | {"ragged"},
            lowering=f"{LOWERED}:encoder_repetition_penalty",
            aliases=("EncoderRepetitionPenaltyLogitsProcessor",),
        ),
        StepSpec(
            name="encoder_no_repeat_ngram",
            role="processor",
            factory=f"{HERE}.encoder:EncoderNoRepeatNgram",
            params=params.EncoderNoRepeatNgramParams,
            summary="bans tokens that would complete an n-gram of the encoder's text",
            formula="-inf for t where the newest n - 1 tokens and t occur in the encoder's text, n = "
            "ngram_size",
            when="dialogue and paraphrase models that copy their input",
            reference="transformers.EncoderNoRepeatNGramLogitsProcessor",
            needs=frozenset({"encoder_ids", "encoder_lengths"}),
            traits=HISTORY,
            aliases=("encoder_no_repeat_ngram_size", "EncoderNoRepeatNGramLogitsProcessor"),
        ),
    ]


def beginnings_and_ends() -> list[StepSpec]:
    """Steps that go by the length of a row."""
    return [
        StepSpec(
            name="min_length",
            role="processor",
            factory=f"{HERE}.length:MinLength",
            params=params.MinLengthParams,
            summary="bans the end of the text before so many tokens, prompt included",
            formula="-inf for the ends while T < min_length",
            when="configurations that have it; in a new recipe min_new_tokens, which does not depend on "
            "the prompt",
            reference="transformers.MinLengthLogitsProcessor",
            needs=frozenset({"eos"}),
            traits=HISTORY,
            lowering=f"{LOWERED}:min_length",
            aliases=("MinLengthLogitsProcessor",),
        ),
        StepSpec(
            name="forced_bos",
            role="processor",
            factory=f"{HERE}.tokens:ForcedBos",
            params=params.ForcedBosParams,
            summary="forces the token after a prompt of one token, as translation models have it",
            formula="where T = 1: 0 for token_id, -inf for the others",
            when="translation models that are told the language by the first token, mBART and M2M100",
            reference="transformers.ForcedBOSTokenLogitsProcessor",
            traits=HISTORY,
            aliases=("forced_bos_token_id", "ForcedBOSTokenLogitsProcessor"),
        ),
        StepSpec(
            name="forced_eos",
            role="processor",
            factory=f"{HERE}.tokens:ForcedEos",
            params=params.ForcedEosParams,
            summary="forces the last token that max_length or the stop rules allow",
            formula="where T = max_length - 1: 0 for token_ids, -inf for the others; without max_length the "
            "stop rules say it",
            when="texts that must be closed even where their length cuts them",
            reference="transformers.ForcedEOSTokenLogitsProcessor",
            needs=frozenset({"limits"}),
            traits=HISTORY,
            aliases=("forced_eos_token_id", "ForcedEOSTokenLogitsProcessor"),
        ),
        StepSpec(
            name="exponential_decay_length_penalty",
            role="processor",
            factory=f"{HERE}.length:ExponentialDecayLengthPenalty",
            params=params.ExponentialDecayParams,
            summary="[start, factor]: favours the end of the text past so many new tokens, more at each",
            formula="of the ends: x + |x| * (factor**n - 1), n = T - prompt - start > 0",
            when="texts that should end near a length, and not in the middle of a sentence",
            reference="transformers.ExponentialDecayLengthPenalty",
            needs=frozenset({"eos", "prompt_lengths"}),
            traits=HISTORY,
            aliases=("ExponentialDecayLengthPenalty",),
        ),
    ]


def token_lists() -> list[StepSpec]:
    """Steps that ban tokens by a list of ids."""
    return [
        StepSpec(
            name="suppress_tokens",
            role="processor",
            factory=f"{HERE}.tokens:SuppressTokens",
            params=params.SuppressTokensParams,
            summary="bans tokens for good",
            formula="-inf for ids",
            when="tokens that have no place in a text: special ones, Whisper's marks of other sounds",
            reference="transformers.SuppressTokensLogitsProcessor",
            traits=SCORES_ALONE,
            lowering=f"{LOWERED}:suppress_tokens",
            aliases=("SuppressTokensLogitsProcessor",),
        ),
        StepSpec(
            name="begin_suppress_tokens",
            role="processor",
            factory=f"{HERE}.tokens:BeginSuppressTokens",
            params=params.BeginSuppressTokensParams,
            summary="bans tokens in the first place after the prompt",
            formula="where T = prompt: -inf for ids",
            when="first tokens that spoil a text: the end, or a blank, as Whisper's configuration has it",
            reference="transformers.SuppressTokensAtBeginLogitsProcessor",
            needs=frozenset({"prompt_lengths"}),
            traits=HISTORY,
            lowering=f"{LOWERED}:begin_suppress_tokens",
            aliases=("SuppressTokensAtBeginLogitsProcessor",),
        ),
    ]


def values() -> list[StepSpec]:
    """Steps that repair or normalise scores."""
    return [
        StepSpec(
            name="remove_invalid_values",
            role="processor",
            factory=f"{HERE}.values:RemoveInvalidValues",
            summary="NaN becomes 0, infinities the greatest and the least number",
            formula="NaN -> 0, inf -> the greatest number, -inf -> the least number",
            when="a half-precision model that overflows now and then, as the first step: bans before it "
            "become bad scores",
            reference="transformers.InfNanRemoveLogitsProcessor",
            # Not argmax_invariant: where there is a NaN it moves the best token, which is its purpose.
            traits=SCORES_ALONE,
            aliases=("InfNanRemoveLogitsProcessor",),
        ),
        StepSpec(
            name="renormalize",
            role="processor",
            factory=f"{HERE}.values:Renormalize",
            summary="log-probabilities in the place of scores",
            formula="x - ln(sum of exp(x))",
            when="as the last step, where scores are read as log-probabilities: after cuts under beams",
            reference="transformers.LogitNormalization",
            # Not argmax_invariant: subtracting can round the two best together.
            traits=SCORES_ALONE,
            lowering=f"{LOWERED}:renormalize",
            aliases=("renormalize_logits", "LogitNormalization"),
        ),
    ]
