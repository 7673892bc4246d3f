"""Parameters of the steps that favour, ban and force tokens by their id or by the length of a row."""

from typing import Annotated

from ..contracts.params import NonNegativeInt, PositiveFloat, PositiveInt, TokenIds, alias, params


@params
class MinLengthParams:
    min_length: NonNegativeInt


@params
class ForcedBosParams:
    token_id: Annotated[NonNegativeInt, alias("bos_token_id", "forced_bos_token_id")]


@params
class ForcedEosParams:
    token_ids: Annotated[TokenIds, alias("eos_token_id", "forced_eos_token_id")]
    max_length: PositiveInt | None = None


@params
class ExponentialDecayParams:
    decay: Annotated[tuple[NonNegativeInt, PositiveFloat], alias("exponential_decay_length_penalty")]
    """From how many new tokens on, and the factor of each further one."""


@params
class SuppressTokensParams:
    ids: Annotated[TokenIds, alias("suppress_tokens")]


@params
class BeginSuppressTokensParams:
    ids: Annotated[TokenIds, alias("begin_suppress_tokens")]
    begin_index: PositiveInt | None = None
    after_forced_bos: bool = False


@params
class EncoderRepetitionPenaltyParams:
    penalty: Annotated[PositiveFloat, alias("encoder_repetition_penalty")]


@params
class EncoderNoRepeatNgramParams:
    ngram_size: Annotated[PositiveInt, alias("encoder_ngram_size", "encoder_no_repeat_ngram_size")]
