"""Steps that look at the ids."""

from __future__ import annotations

from ...contracts.lowering import Edit, LoweringFacts, Seen
from .. import params as p
from .ends import EarlyEnds
from .ngrams import Ngrams
from .sequences import Sequences


def repetition_penalty(params: p.RepetitionPenaltyParams, facts: LoweringFacts) -> Edit | tuple[()] | None:
    """Nothing at 1; with a slope a token's number depends on where it stands, which is the step's own affair."""
    if params.penalty == 1:
        return ()
    if params.slope != 1:
        return None
    seen = Seen(params.penalty, params.window, params.scope, padding=facts.padding)
    return Edit(seen, "scale_by_sign")


def no_repeat_ngram(params: p.NoRepeatNgramParams, facts: LoweringFacts) -> Edit:
    """A table of what followed each (n - 1)-gram, kept as tokens come."""
    return Edit(Ngrams(params.ngram_size), "set")


def min_new_tokens(params: p.MinNewTokensParams, facts: LoweringFacts) -> Edit | tuple[()]:
    """Nothing at 0, nor without an end-of-sequence token."""
    if params.min_new_tokens == 0 or not facts.eos:
        return ()
    return Edit(EarlyEnds(facts.eos, params.min_new_tokens, facts.prompt_lengths), "set")


def bad_words(params: p.BadWordsParams, facts: LoweringFacts) -> Edit | tuple[()]:
    """Banned by adding -inf, as the step does."""
    banned = {word: float("-inf") for word in params.ids if len(word) > 1 or word[0] not in facts.eos}
    return Edit(Sequences(banned), "add") if banned else ()


def sequence_bias(params: p.SequenceBiasParams, facts: LoweringFacts) -> Edit | tuple[()]:
    """Of two pairs with one sequence the later counts."""
    biases = {ids: bias for ids, bias in dict(params.pairs).items() if bias != 0}
    return Edit(Sequences(biases), "add") if biases else ()
