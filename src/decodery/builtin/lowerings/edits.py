"""Steps that favour and ban tokens by id, by length or by the encoder's text."""

from __future__ import annotations

from ...contracts.lowering import Edit, Fixed, LoweringFacts, Map
from .. import edit_params as p
from .encoder import EncoderTokens
from .ends import AtBegin, EarlyEnds

BANNED = (float("-inf"),)


def suppress_tokens(params: p.SuppressTokensParams, facts: LoweringFacts) -> Edit:
    """The same ids at every step."""
    return Edit(Fixed(params.ids, BANNED), "set")


def begin_suppress_tokens(params: p.BeginSuppressTokensParams, facts: LoweringFacts) -> Edit:
    """At one length of each row."""
    begin = facts.prompt_lengths
    if params.begin_index is not None:
        begin = begin * 0 + params.begin_index
    elif params.after_forced_bos:
        begin = begin + (begin <= 1)
    return Edit(AtBegin(params.ids, begin), "set")


def min_length(params: p.MinLengthParams, facts: LoweringFacts) -> Edit | tuple[()]:
    """Nothing at 0, nor without an end-of-sequence token."""
    if params.min_length == 0 or not facts.eos:
        return ()
    return Edit(EarlyEnds(facts.eos, params.min_length, None), "set")


def encoder_repetition_penalty(
    params: p.EncoderRepetitionPenaltyParams, facts: LoweringFacts
) -> Edit | tuple[()] | None:
    """Nothing at 1."""
    if params.penalty == 1:
        return ()
    if facts.encoder_ids is None:
        return None
    return Edit(EncoderTokens(facts.encoder_ids, facts.encoder_lengths, 1 / params.penalty), "scale_by_sign")


def renormalize(params: None, facts: LoweringFacts) -> Map:
    """Among candidates the sum is over fewer numbers, and may round otherwise."""
    return Map("renormalise")
