"""The stop rules in the box, as records."""

from __future__ import annotations

from ..contracts.specs import StepSpec
from . import params

HERE = "decodery.builtin.stopping"
LOWERED = "decodery.builtin.lowerings.endings"

LAST_TOKENS = frozenset({"stateless", "ragged", "reads_history", "ids_only", "compilable"})


def stop_rules() -> list[StepSpec]:
    """Rules that end rows."""
    return [
        StepSpec(
            name="eos",
            role="stop",
            factory=f"{HERE}.tokens:Eos",
            summary="ends a row at the model's end-of-sequence token",
            formula="the newest token is one of the model's ends",
            when="wherever the model knows how to end; it is there unless other rules are named",
            reference="transformers.EosTokenCriteria",
            needs=frozenset({"eos"}),
            traits=LAST_TOKENS,
            lowering=f"{LOWERED}:eos",
            aliases=("EosTokenCriteria",),
            keywords=("eos_token", "eos_token_id"),
            finish_reason="eos",
        ),
        StepSpec(
            name="stop_token_ids",
            role="stop",
            factory=f"{HERE}.tokens:StopTokenIds",
            params=params.StopTokenIdsParams,
            summary="ends a row at any of these tokens",
            formula="the newest token is one of ids",
            when="a model with more ends than it says, like the end of a turn",
            reference="vLLM's SamplingParams.stop_token_ids",
            wants=frozenset({"vocab_size"}),
            traits=LAST_TOKENS,
            lowering=f"{LOWERED}:stop_token_ids",
            keywords=("stop_tokens", "stop_ids"),
            finish_reason="stop_token_ids",
        ),
        StepSpec(
            name="max_new_tokens",
            role="stop",
            factory=f"{HERE}.length:MaxNewTokens",
            params=params.MaxNewTokensParams,
            summary="ends a row after so many new tokens",
            formula="T - prompt >= max_new_tokens",
            when="always: the one bound on cost that does not depend on the prompt",
            reference="transformers.GenerationConfig.max_new_tokens",
            needs=frozenset({"prompt_lengths"}),
            traits=LAST_TOKENS,
            lowering=f"{LOWERED}:max_new_tokens",
            keywords=("max_tokens", "n_predict", "num_predict"),
            finish_reason="length",
        ),
        StepSpec(
            name="max_length",
            role="stop",
            factory=f"{HERE}.length:MaxLength",
            params=params.MaxLengthParams,
            summary="ends a row at so many tokens, prompt included",
            formula="T >= max_length",
            when="configurations that have it; in a new recipe max_new_tokens",
            reference="transformers.MaxLengthCriteria",
            traits=LAST_TOKENS,
            lowering=f"{LOWERED}:max_length",
            aliases=("MaxLengthCriteria",),
            finish_reason="length",
        ),
        StepSpec(
            name="stop_strings",
            role="stop",
            factory=f"{HERE}.strings:StopStrings",
            params=params.StopStringsParams,
            summary="ends a row when its new text contains one of these strings",
            formula="the newest token completes one of strings in the new text",
            when="formats that mark their end by words, such as the next speaker's name; it is cut off the"
            " text",
            reference="transformers.StopStringCriteria",
            needs=frozenset({"prompt_lengths", "tokenizer"}),
            # Not compilable: it reads text on the host.
            traits=LAST_TOKENS - {"compilable"},
            aliases=("StopStringCriteria",),
            keywords=("stop", "stop_words", "stop_sequences", "reverse_prompt", "antiprompt"),
            finish_reason="stop_string",
        ),
        StepSpec(
            name="max_time",
            role="stop",
            factory=f"{HERE}.clock:MaxTime",
            params=params.MaxTimeParams,
            summary="ends all rows after so many seconds",
            formula="now - begin of the run > max_time",
            when="a service that must answer in time; what is there by then is the answer",
            reference="transformers.MaxTimeCriteria",
            # Not stateless: the same call has another answer later.
            traits=frozenset({"ragged", "ids_only"}),
            aliases=("MaxTimeCriteria",),
            finish_reason="max_time",
        ),
        StepSpec(
            name="confidence",
            role="stop",
            factory=f"{HERE}.confidence:Confidence",
            params=params.ConfidenceParams,
            summary="ends a row when its newest token had a probability below the threshold",
            formula="P of the newest token < threshold, P of the scores that it was chosen from",
            when="drafts, and texts that should rather stop than guess",
            reference="transformers.ConfidenceCriteria",
            traits=LAST_TOKENS - {"ids_only"},
            aliases=("assistant_confidence_threshold", "ConfidenceCriteria"),
            finish_reason="confidence",
        ),
    ]
