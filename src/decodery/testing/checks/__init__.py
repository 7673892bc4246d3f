"""The checks, a family a file."""

from __future__ import annotations

from . import choosing, declaration, follow, precision, rows, scores, state, stopping
from .check import Check

ALL: tuple[Check, ...] = (
    *declaration.CHECKS,
    *scores.CHECKS,
    *precision.CHECKS,
    *rows.CHECKS,
    *state.CHECKS,
    *follow.CHECKS,
    *stopping.CHECKS,
    *choosing.CHECKS,
)
