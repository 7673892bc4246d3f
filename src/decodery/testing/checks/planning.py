"""What the planner is told of a step: its lowering does what the step does."""

from __future__ import annotations

import torch
from torch import Tensor

from ...contracts.lowering import as_lowered
from ...contracts.specs import StepSpec, resolve
from ..case import Case
from ..lowered import apply_lowered
from ..samples import Rows, ragged_rows, score_rows, short_rows
from .check import check, require

NEAR = 1e-5
"""How much probability may hang on a token that the two keep otherwise: the planner asks the step where it decides."""


@check("processor", "lowering", remedy="describe these parameters as the step does them, or return None")
def lowering_equals_the_step(case: Case) -> None:
    """Done one after another, its edits, maps and truncations ban the same tokens and give the same scores."""
    spec = case.spec
    if not isinstance(spec, StepSpec) or spec.lowering is None:
        raise TypeError(f"{spec.name!r} has no lowering")
    lower = resolve(spec.lowering, f"lowering of {spec.name!r}")
    for rows in (*score_rows("lm-like", "flat", "with bans", "one left"), *short_rows(), *ragged_rows()):
        parts = as_lowered(lower(case.params, rows.facts()), spec.name)
        if parts is not None:
            _compare(case, rows, apply_lowered(parts, rows))


def _compare(case: Case, rows: Rows, lowered: Tensor) -> None:
    step = case.answer(rows)
    probs = rows.scores.double().softmax(-1)
    for row in range(len(step)):
        other = (step[row] == -torch.inf) != (lowered[row] == -torch.inf)
        decided = (
            float(_margin(step[row], lowered[row], probs[row])[other].sum()) if bool(other.any()) else 0.0
        )
        require(
            decided <= NEAR,
            f"bans tokens {other.nonzero().flatten().tolist()} of row {row} otherwise than its lowering ({rows.kind})",
        )
        both = ~other & (step[row] > -torch.inf)
        equal = torch.allclose(step[row][both], lowered[row][both], rtol=1e-5, atol=1e-5)
        require(equal, f"gives row {row} other scores than its lowering ({rows.kind})")


def _margin(step: Tensor, lowered: Tensor, probs: Tensor) -> Tensor:
    """(V,) float64: what each token weighs, so that a tail too thin to be drawn may fall either way."""
    return torch.where((step == -torch.inf) != (lowered == -torch.inf), probs, 0.0)


CHECKS = (lowering_equals_the_step,)
