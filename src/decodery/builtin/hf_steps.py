"""The processors that are transformers' own classes, as records."""

from __future__ import annotations

from ..contracts.specs import StepSpec
from . import hf_params as params

HERE = "decodery.builtin"

# None is compilable: the classes look at ids and lengths on the host.
OF_THE_ROW = frozenset({"stateless", "ragged", "reads_history"})


def hf_steps() -> list[StepSpec]:
    """Steps for any model."""
    return [
        StepSpec(
            name="prefix_allowed_tokens",
            role="processor",
            factory=f"{HERE}.hf_processors:PrefixAllowedTokens",
            params=params.PrefixAllowedTokensParams,
            summary="fn(prompt_index, ids) says which tokens are allowed; from Python only",
            formula="-inf for t outside fn(prompt_index, ids)",
            when="output from a closed set, like names of things in a trie; fn is asked on the host, once "
            "a row and token",
            reference="https://arxiv.org/abs/2010.00904",
            needs=frozenset({"prompt_index"}),
            traits=OF_THE_ROW,
            aliases=("prefix_allowed_tokens_fn", "PrefixConstrainedLogitsProcessor"),
        ),
        StepSpec(
            name="watermark",
            role="processor",
            factory=f"{HERE}.hf_watermarks:Watermark",
            params=params.WatermarkParams,
            summary="a bonus for tokens that are green by a hash of the newest ones",
            formula="x + bias for the green tokens, a share greenlist_ratio of V drawn by a hash of the "
            "newest context_width ids",
            when="to know one's own text again by its share of green tokens; sure rows carry little of it",
            reference="https://arxiv.org/abs/2306.04634",
            traits=OF_THE_ROW,
            aliases=("WatermarkLogitsProcessor",),
            detector=f"{HERE}.watermarks:detect_watermark",
        ),
        StepSpec(
            name="synthid_watermark",
            role="processor",
            factory=f"{HERE}.hf_watermarks:SynthidWatermark",
            params=params.SynthidWatermarkParams,
            summary="SynthID Text: a tournament of hashes that leaves a row's probabilities as they are on average",
            formula="for each key: P * (1 + g - sum of P g), g = 0 or 1 by a hash of key, the newest "
            "ngram_len - 1 ids and t",
            when="a watermark for sampled text that leaves its distribution alone on average; greedy text "
            "carries little of it",
            reference="https://www.nature.com/articles/s41586-024-08025-4",
            needs=frozenset({"prompt_lengths"}),
            traits=OF_THE_ROW,
            aliases=("SynthIDTextWatermarkLogitsProcessor",),
            detector=f"{HERE}.watermarks:detect_synthid_watermark",
        ),
    ]


def hf_audio_steps() -> list[StepSpec]:
    """Steps for one family of audio models each; the layout of rows and vocabulary is that model's."""
    return [
        StepSpec(
            name="whisper_timestamps",
            role="processor",
            factory=f"{HERE}.hf_processors:WhisperTimestamps",
            params=params.WhisperTimestampsParams,
            summary="Whisper: timestamps, the ids above no_timestamps_token_id, come in pairs and in order",
            formula="-inf for text at the beginning and after one timestamp, for timestamps after two, for earlier "
            "ones, and for text where the timestamps' P sum to more than the best text token's",
            when="Whisper, where segments should be timed",
            reference="https://arxiv.org/abs/2212.04356",
            needs=frozenset({"eos", "prompt_lengths"}),
            traits=OF_THE_ROW,
            aliases=("WhisperTimeStampLogitsProcessor",),
        ),
        StepSpec(
            name="bark_eos_prioritizer",
            role="processor",
            factory=f"{HERE}.hf_processors:BarkEosPrioritizer",
            params=params.BarkEosPrioritizerParams,
            summary="Bark: nothing but the end is left where it is likelier than min_eos_p",
            formula="where P of the end > min_eos_p: -inf for the others",
            when="Bark's semantic model, which talks on without it",
            reference="transformers.generation.logits_process.BarkEosPrioritizerLogitsProcessor",
            needs=frozenset({"eos"}),
            traits=frozenset({"stateless"}),
            aliases=("BarkEosPrioritizerLogitsProcessor",),
        ),
        StepSpec(
            name="alternating_codebooks",
            role="processor",
            factory=f"{HERE}.hf_processors:AlternatingCodebooks",
            params=params.AlternatingCodebooksParams,
            summary="Bark's coarse model: two codebooks by turns, their ids after those of the semantic vocabulary",
            formula="keep the ids from semantic_vocab_size on: the first codebook_size of them where T - "
            "prompt is even, those behind where it is odd",
            when="Bark's coarse model",
            reference="transformers.generation.logits_process.AlternatingCodebooksLogitsProcessor",
            needs=frozenset({"prompt_lengths"}),
            traits=OF_THE_ROW,
            aliases=("AlternatingCodebooksLogitsProcessor",),
        ),
        StepSpec(
            name="dia_eos_channel_filter",
            role="processor",
            factory=f"{HERE}.hf_dia:DiaEosChannelFilter",
            params=params.DiaEosChannelFilterParams,
            summary="Dia, rows are channels: the end comes in the first channel, alone or not at all",
            formula="-inf for the end and all ids above it in the other channels; in the first, for the ids "
            "above it, then for all but the end where that is the best token, else for the end",
            when="Dia, before dia_eos_delay_pattern",
            reference="transformers.generation.logits_process.DiaEOSChannelFilterLogitsProcessor",
            needs=frozenset({"eos"}),
            # One call for all rows: the channels of a text are rows side by side.
            traits=frozenset({"stateless"}),
            aliases=("DiaEOSChannelFilterLogitsProcessor",),
        ),
        StepSpec(
            name="dia_eos_delay_pattern",
            role="processor",
            factory=f"{HERE}.hf_dia:DiaEosDelayPattern",
            params=params.DiaEosDelayPatternParams,
            summary="Dia, rows are channels: after the first channel's end each other ends after its delay",
            formula="from the first channel's end, or max(delay_pattern) + 1 tokens before the limit: -inf "
            "for all but the end in the channel whose delay has passed",
            when="Dia, whose channels lag behind one another",
            reference="transformers.generation.logits_process.DiaEOSDelayPatternLogitsProcessor",
            needs=frozenset({"eos", "limits", "prompt_lengths"}),
            traits=frozenset({"ragged", "reads_history"}),
            aliases=("DiaEOSDelayPatternLogitsProcessor",),
        ),
    ]
