"""Steps that look at the scores alone, or at fixed ids."""

from __future__ import annotations

from functools import partial
from math import inf, log
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from decodery.contracts.lowering import Edit, Fixed, Lowered, LoweringFacts, Map, Truncation

from ..shaping.dynamic_temperature import dynamic_temperature as heated
from ..shaping.quadratic import quadratic
from ..text.bias import AllowedTokens

BENT = 1e-6
"""Curvature in parts of the best probability, below which float64 does not tell it from rounding."""
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


def tail_free(params: Any, facts: LoweringFacts) -> Answer:
    if params.z == 1:
        return ()
    if facts.vocab_size is None:
        return None
    keep = partial(_before_the_tail, params.z, 1 if params.variant == "hf" else 0, facts.vocab_size)
    return Truncation("custom", min_keep=params.min_keep, keep=keep)


def _before_the_tail(z: float, kept: int, vocab_size: int, log_probs: Tensor) -> Tensor:
    """(R, K) float64, the best first -> (R, K): what is left of `z` at the curvature that decides for each token.

    The row goes on with what is banned, of which two at most bend it. Where rounding is a part of the curvature that
    counts, all is undecided.
    """
    if vocab_size < 3:
        return torch.ones_like(log_probs)
    size = log_probs.shape[-1]
    p = pad(log_probs.exp(), (0, max(min(vocab_size - size, 2), 0)))  # (R, K) -> (R, K + 2)
    bend = p.diff(n=2, dim=-1).abs()
    total = bend.sum(dim=-1, keepdim=True)
    share = pad((bend / total).cumsum(dim=-1), (kept, size), value=1.0)[:, :size]
    share[:, :kept] = 0.0
    return torch.where(total > BENT * p[:, :1], z - share, 0.0)


def top_p_decay(params: Any, facts: LoweringFacts) -> Answer:
    if params.decay != 1:  # p moves with the text
        return None
    if params.p == 1:
        return ()
    return Truncation("custom", min_keep=params.min_keep, keep=partial(_within, params.p), reach="each")


def _within(p: float, log_probs: Tensor) -> Tensor:
    """(R, K) float64, the best first -> (R, K): what is missing of `p` before each token."""
    probs = log_probs.exp()
    return p - (probs.cumsum(dim=-1) - probs)


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
        apply = partial(heated, temperature=params.temperature, range=params.range, exponent=params.exponent)
        return Map("custom", apply=apply, reach="allowed")
    return () if params.temperature == 1 else Map("temperature", params.temperature)


def quadratic_(params: Any, facts: LoweringFacts) -> Answer:
    if params.factor == 0:
        return ()
    if params.curve > 3:  # it may change the order of two tokens
        return None
    return Map("custom", apply=partial(quadratic, factor=params.factor, curve=params.curve))


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
