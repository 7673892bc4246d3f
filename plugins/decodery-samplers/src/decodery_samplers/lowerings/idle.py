"""Steps that cannot be said in edits, maps and truncations: nothing where they are idle, and opaque where they are not.

An idle one would otherwise keep a whole recipe off the fast path, as `xtc` does in an engine's order.
"""

from __future__ import annotations

from typing import Any

from decodery.contracts.lowering import LoweringFacts

Answer = tuple[()] | None


def xtc(params: Any, facts: LoweringFacts) -> Answer:
    return () if params.probability == 0 else None


def skew(params: Any, facts: LoweringFacts) -> Answer:
    return () if params.skew == 0 else None


def adaptive_p(params: Any, facts: LoweringFacts) -> Answer:
    return () if params.target < 0 else None


def forced_tokens(params: Any, facts: LoweringFacts) -> Answer:
    return None if params.ids else ()


def gen_length(params: Any, facts: LoweringFacts) -> Answer:
    return () if params.factor == 0 else None


def cite_prompt(params: Any, facts: LoweringFacts) -> Answer:
    return () if params.boost == 0 and params.conditional == 0 else None
