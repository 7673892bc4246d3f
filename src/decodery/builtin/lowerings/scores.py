"""Steps that look at the scores alone."""

from __future__ import annotations

from ...contracts.lowering import LoweringFacts, Map, Truncation
from .. import params as p

Cut = Truncation | tuple[()]


def temperature(params: p.TemperatureParams, facts: LoweringFacts) -> Map | tuple[()]:
    """Nothing at 1."""
    return () if params.temperature == 1 else Map("temperature", params.temperature)


def top_k(params: p.TopKParams, facts: LoweringFacts) -> Cut | None:
    """Nothing at 0; exactly k, small ids first among equals, is the step's own affair."""
    if params.k == 0:
        return ()
    return Truncation("k", params.k, params.min_keep) if params.ties == "keep" else None


def top_p(params: p.TopPParams, facts: LoweringFacts) -> Cut:
    """Nothing at 1."""
    return () if params.p == 1 else Truncation("mass", params.p, params.min_keep)


def min_p(params: p.MinPParams, facts: LoweringFacts) -> Cut:
    """Nothing at 0."""
    return () if params.p == 0 else Truncation("ratio", params.p, params.min_keep)


def typical_p(params: p.TypicalPParams, facts: LoweringFacts) -> Cut:
    """Nothing at 1."""
    return () if params.p == 1 else Truncation("typical", params.p, params.min_keep)


def epsilon_cutoff(params: p.EpsilonCutoffParams, facts: LoweringFacts) -> Cut:
    """Nothing at 0."""
    return () if params.epsilon == 0 else Truncation("floor", params.epsilon, params.min_keep)


def eta_cutoff(params: p.EtaCutoffParams, facts: LoweringFacts) -> Cut:
    """Nothing at 0."""
    return () if params.epsilon == 0 else Truncation("eta", params.epsilon, params.min_keep)
