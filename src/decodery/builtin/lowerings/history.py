"""Steps that look at the ids."""

from __future__ import annotations

from ...contracts.lowering import Edit, LoweringFacts, Seen
from .. import params as p


def repetition_penalty(params: p.RepetitionPenaltyParams, facts: LoweringFacts) -> Edit | tuple[()] | None:
    """Nothing at 1; with a slope the step itself, since two penalties are at work."""
    if params.penalty == 1:
        return ()
    if params.slope != 1:
        return None
    seen = Seen(params.penalty, params.window, params.scope, padding=facts.padding)
    return Edit(seen, "scale_by_sign")
