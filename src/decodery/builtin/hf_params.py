"""Parameters of the steps that are transformers' own classes."""

from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from ..contracts.params import (
    FiniteFloat,
    NonNegativeInt,
    OpenProbability,
    PositiveFloat,
    PositiveInt,
    alias,
    params,
)


def _tuple(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


Keys = Annotated[tuple[int, ...], BeforeValidator(_tuple), Field(min_length=1)]
"""Watermarking keys, one a layer of the tournament."""
Delays = Annotated[tuple[NonNegativeInt, ...], BeforeValidator(_tuple), Field(min_length=1)]
"""For each channel of an audio codec, how many tokens it lags behind the first."""


@params
class PrefixAllowedTokensParams:
    fn: Annotated[Callable[..., Any], alias("prefix_allowed_tokens_fn")]


@params
class WatermarkParams:
    greenlist_ratio: OpenProbability = 0.25
    bias: FiniteFloat = 2.0
    hashing_key: PositiveInt = 15485863
    seeding_scheme: Literal["lefthash", "selfhash"] = "lefthash"
    context_width: PositiveInt = 1


@params
class SynthidWatermarkParams:
    keys: Keys
    ngram_len: Annotated[int, Field(ge=2, le=64)] = 5
    context_history_size: PositiveInt = 1024
    sampling_table_seed: NonNegativeInt = 0
    sampling_table_size: Annotated[int, Field(ge=1, le=2**24)] = 2**16
    skip_first_ngram_calls: bool = False
    debug_mode: bool = False


@params
class WhisperTimestampsParams:
    no_timestamps_token_id: NonNegativeInt
    begin_index: PositiveInt | None = None
    max_initial_timestamp_index: NonNegativeInt | None = None
    detect_from_logprob: Annotated[bool, alias("_detect_timestamp_from_logprob")] = True


@params
class BarkEosPrioritizerParams:
    min_eos_p: PositiveFloat


@params
class AlternatingCodebooksParams:
    semantic_vocab_size: NonNegativeInt
    codebook_size: PositiveInt


@params
class DiaEosChannelFilterParams:
    num_channels: PositiveInt
    eos_token_id: PositiveInt | None = None


@params
class DiaEosDelayPatternParams:
    delay_pattern: Delays
    eos_token_id: PositiveInt | None = None
    max_generation_len: PositiveInt | None = None
