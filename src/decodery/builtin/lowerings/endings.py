"""Stop rules that look at nothing but a row's newest token or its length."""

from __future__ import annotations

from ...contracts.lowering import AtLength, AtTokens, LoweringFacts
from .. import params


def eos(_: object, facts: LoweringFacts) -> AtTokens:
    return AtTokens(frozenset(facts.eos))


def stop_token_ids(given: params.StopTokenIdsParams, facts: LoweringFacts) -> AtTokens | None:
    # Where nobody knows the vocabulary the step itself finds out, from the first scores, whether it has the ids.
    return None if facts.vocab_size is None else AtTokens(frozenset(given.ids))


def max_new_tokens(given: params.MaxNewTokensParams, facts: LoweringFacts) -> AtLength:
    return AtLength(given.max_new_tokens, beyond_prompt=True)


def max_length(given: params.MaxLengthParams, facts: LoweringFacts) -> AtLength:
    return AtLength(given.max_length)
