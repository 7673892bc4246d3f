"""`decodery recipe check`: is it good, and if not, where not."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ...contracts.errors import DecoderyError, RecipeError
from ...host.registry import Host
from ...recipe.advice import advise
from ...recipe.recipe import Recipe, examine
from ...recipe.report import Problem, render
from ..console import Console
from .reading import found, label, problems_as_data


@dataclass(frozen=True, slots=True)
class _Outcome:
    name: str
    recipe: Recipe | None
    error: DecoderyError | None
    warnings: list[Problem]


def check(files: Sequence[str], overrides: Sequence[str], strict: bool, as_json: bool) -> int:
    """Print what is wrong with each recipe, or that nothing is -> the exit code. `strict` takes warnings for
    mistakes."""
    console, host = Console(), Host()
    outcomes = [_outcome(name, overrides, host) for name in files]
    for outcome in outcomes:
        if as_json:
            console.line(json.dumps(_as_data(outcome, strict)))
        else:
            console.line(_as_text(outcome, strict))
    return int(any(_failed(outcome, strict) for outcome in outcomes))


def _outcome(name: str, overrides: Sequence[str], host: Host) -> _Outcome:
    try:
        examined = examine(found(name, host), overrides, host)
        return _Outcome(label(name), examined.result(), None, advise(examined))
    except DecoderyError as error:
        return _Outcome(label(name), None, error, [])


def _failed(outcome: _Outcome, strict: bool) -> bool:
    return outcome.error is not None or (strict and bool(outcome.warnings))


def _as_text(outcome: _Outcome, strict: bool) -> str:
    error, recipe = outcome.error, outcome.recipe
    if error is not None or recipe is None:
        return str(error) if isinstance(error, RecipeError) else f"error: {error}"
    if not outcome.warnings:
        return f"{outcome.name}: ok ({_summary(recipe)})"
    count = _count(len(outcome.warnings), "warning")
    last = f"{outcome.name}: ok but for {count} ({_summary(recipe)})"
    if strict:
        last = f"{outcome.name}: {count}, which --strict does not let pass"
    return render(outcome.warnings, last)


def _as_data(outcome: _Outcome, strict: bool) -> dict[str, Any]:
    recipe = outcome.recipe
    if outcome.error is not None or recipe is None:
        problems = problems_as_data(outcome.error) if outcome.error else []
        return {"file": outcome.name, "ok": False, "problems": problems, "warnings": []}
    return {
        "file": outcome.name,
        "ok": not _failed(outcome, strict),
        "name": recipe.name,
        "strategy": recipe.strategy.qualified,
        "processors": [step.qualified for step in recipe.processors],
        "stop": [step.qualified for step in recipe.stop],
        "fingerprint": recipe.fingerprint,
        "problems": [],
        "warnings": [dataclasses.asdict(warning) for warning in outcome.warnings],
    }


def _summary(recipe: Recipe) -> str:
    parts = [
        _count(len(recipe.processors), "processor"),
        _count(len(recipe.stop), "stop rule"),
        f"fingerprint {recipe.fingerprint[:12]}",
    ]
    return ", ".join(parts)


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
