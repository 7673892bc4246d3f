"""Steps that look at the ids."""

from __future__ import annotations

from ...contracts.lowering import Edit, LoweringFacts, Seen
from .. import params as p


def repetition_penalty(params: p.RepetitionPenaltyParams, facts: LoweringFacts) -> Edit | tuple[()]:
    """Nothing at 1."""
    if params.penalty == 1:
        return ()
    seen = Seen(params.penalty, params.window, params.scope, padding=facts.padding)
    return Edit(seen, "scale_by_sign")
