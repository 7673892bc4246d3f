"""The checks, a family a file."""

from __future__ import annotations

from . import (
    choosing,
    compiling,
    declaration,
    decoding,
    detecting,
    follow,
    models,
    planning,
    precision,
    randomness,
    recipes,
    rows,
    scores,
    state,
    stopping,
    writing,
)
from .check import Check

ALL: tuple[Check, ...] = (
    *declaration.CHECKS,
    *writing.CHECKS,
    *scores.CHECKS,
    *precision.CHECKS,
    *rows.CHECKS,
    *state.CHECKS,
    *follow.CHECKS,
    *stopping.CHECKS,
    *choosing.CHECKS,
    *randomness.CHECKS,
    *decoding.CHECKS,
    *compiling.CHECKS,
    *planning.CHECKS,
    *models.CHECKS,
    *recipes.CHECKS,
    *detecting.CHECKS,
)
