"""What the planner is told of these steps: the same meaning in the words of `contracts.lowering`.

A step that is not here is opaque to it, which always works. Each keeps to the operations of the step, so that what is
fused draws the step's very tokens.
"""

from __future__ import annotations

from functools import partial
from math import inf, log
from typing import Any

from torch import Tensor

from decodery.contracts.lowering import Edit, Fixed, Lowered, LoweringFacts, Map, Truncation

from .penalties.dry import breaker, longest_match
from .penalties.dry_edits import Repeated
from .shaping.quadratic import quadratic
from .text.bias import AllowedTokens

MOST_PRICES = 4096
"""Of a DRY so flat that it has more, the step keeps the count."""
Answer = Lowered | tuple[Lowered, ...] | None


def top_n_sigma(params: Any, facts: LoweringFacts) -> Answer:
    if params.n == 0:
        return ()
    if params.variant != "population":
        return None
    return Truncation("sigma", params.n, min_keep=params.min_keep)


def top_a(params: Any, facts: LoweringFacts) -> Answer:
    if params.a == 0:
        return ()
    keep = partial(_above_power, log(params.a), params.power)
    return Truncation("custom", min_keep=params.min_keep, keep=keep, reach="each")


def _above_power(log_a: float, power: float, log_probs: Tensor) -> Tensor:
    """(R, K) float64, the best first -> (R, K): how far `log p` is above `log a + power * log p_1`."""
    return log_probs - (log_a + power * log_probs[:, :1])


def p_less(params: Any, facts: LoweringFacts) -> Answer:
    return Truncation("custom", min_keep=params.min_keep, keep=_above_agreement)


def _above_agreement(log_probs: Tensor) -> Tensor:
    """(R, K) float64 -> (R, K): how far `log p` is above the log of the sum of squares."""
    return log_probs - (2 * log_probs).logsumexp(dim=-1, keepdim=True)


def p_step(params: Any, facts: LoweringFacts) -> Answer:
    if params.r == 0:
        return ()
    return Truncation(
        "custom", min_keep=params.min_keep, keep=partial(_above_step, log(params.r)), reach="each"
    )


def _above_step(log_r: float, log_probs: Tensor) -> Tensor:
    """(R, K) float64, the best first -> (R, K): the least margin of the steps down to each token."""
    margins = log_probs.new_full(log_probs.shape, inf)
    margins[:, 1:] = (log_probs[:, 1:] - log_probs[:, :-1] - log_r).nan_to_num(nan=-inf, neginf=-inf)
    return margins.cummin(dim=-1).values


def dynamic_temperature(params: Any, facts: LoweringFacts) -> Answer:
    if params.range:
        return None
    return () if params.temperature == 1 else Map("temperature", params.temperature)


def quadratic_(params: Any, facts: LoweringFacts) -> Answer:
    if params.factor == 0:
        return ()
    if params.curve > 3:  # it may change the order of two tokens
        return None
    return Map("custom", apply=partial(quadratic, factor=params.factor, curve=params.curve))


def dry(params: Any, facts: LoweringFacts) -> Answer:
    """A window moves its beginning, and a breaker of several letters may lie across tokens: those are the step's."""
    if params.multiplier == 0:
        return ()
    texts = [one for one in params.breakers if isinstance(one, str)]
    if params.window or any(len(text) > 1 for text in texts) or (texts and facts.tokenizer is None):
        return None
    longest = longest_match(params.multiplier, params.base, params.allowed_length, params.max_match)
    if longest - params.allowed_length > MOST_PRICES:
        return None
    ids, _ = breaker(params.breakers, facts.tokenizer)
    source = Repeated(
        params.multiplier, params.base, params.allowed_length, longest, frozenset(ids), facts.padding
    )
    return Edit(source, "add")


def logit_bias(params: Any, facts: LoweringFacts) -> Answer:
    return _edit([(token, bias) for token, bias in params.biases if bias], facts)


def banned_tokens(params: Any, facts: LoweringFacts) -> Answer:
    return _edit([(token, -inf) for token in params.tokens], facts)


def _edit(pairs: list[tuple[int | str, float]], facts: LoweringFacts) -> Answer:
    """Ids alone are fixed; what completes a text is not. Ids that the vocabulary has not are the step's to refuse."""
    ids = [token for token, _ in pairs if isinstance(token, int)]
    if not pairs:
        return ()
    known = facts.vocab_size is not None and all(token < facts.vocab_size for token in ids)
    if len(ids) < len(pairs) or len(set(ids)) < len(ids) or not known:
        return None
    return Edit(Fixed(tuple(ids), tuple(bias for _, bias in pairs)), "add")


def allowed_tokens(params: Any, facts: LoweringFacts) -> Answer:
    if not params.tokens:
        return ()
    if facts.vocab_size is None:
        return None
    step = AllowedTokens(tokens=params.tokens, ignore_case=params.ignore_case, tokenizer=facts.tokenizer)
    allowed = set(step.ids.tolist())
    if any(token >= facts.vocab_size for token in allowed):
        return None
    banned = tuple(token for token in range(facts.vocab_size) if token not in allowed)
    return Edit(Fixed(banned, (-inf,) * len(banned)), "set") if banned else ()
