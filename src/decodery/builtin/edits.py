"""Processors that favour, ban and force tokens by id, length or the encoder's text, as records."""

from __future__ import annotations

from ..contracts.specs import StepSpec
from . import edit_params as params
from .processors import HISTORY, SCORES_ALONE

HERE = "decodery.builtin.reference"


def encoder_readers() -> list[StepSpec]:
    """Steps that look at what the encoder was given."""
    return [
        StepSpec(
            name="encoder_repetition_penalty",
            role="processor",
            factory=f"{HERE}.encoder:EncoderRepetitionPenalty",
            params=params.EncoderRepetitionPenaltyParams,
            summary="makes the encoder's tokens likelier, so that less is invented",
            reference="transformers.EncoderRepetitionPenaltyLogitsProcessor",
            needs=frozenset({"encoder_ids", "encoder_lengths"}),
            traits=SCORES_ALONE | {"ragged"},
            aliases=("EncoderRepetitionPenaltyLogitsProcessor",),
        ),
        StepSpec(
            name="encoder_no_repeat_ngram",
            role="processor",
            factory=f"{HERE}.encoder:EncoderNoRepeatNgram",
            params=params.EncoderNoRepeatNgramParams,
            summary="bans tokens that would complete an n-gram of the encoder's text",
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
            reference="transformers.MinLengthLogitsProcessor",
            needs=frozenset({"eos"}),
            traits=HISTORY,
            aliases=("MinLengthLogitsProcessor",),
        ),
        StepSpec(
            name="forced_bos",
            role="processor",
            factory=f"{HERE}.tokens:ForcedBos",
            params=params.ForcedBosParams,
            summary="forces the token after a prompt of one token, as translation models have it",
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
            reference="transformers.SuppressTokensLogitsProcessor",
            traits=SCORES_ALONE,
            aliases=("SuppressTokensLogitsProcessor",),
        ),
        StepSpec(
            name="begin_suppress_tokens",
            role="processor",
            factory=f"{HERE}.tokens:BeginSuppressTokens",
            params=params.BeginSuppressTokensParams,
            summary="bans tokens in the first place after the prompt",
            reference="transformers.SuppressTokensAtBeginLogitsProcessor",
            needs=frozenset({"prompt_lengths"}),
            traits=HISTORY,
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
            reference="transformers.LogitNormalization",
            # Not argmax_invariant: subtracting can round the two best together.
            traits=SCORES_ALONE,
            aliases=("renormalize_logits", "LogitNormalization"),
        ),
    ]
