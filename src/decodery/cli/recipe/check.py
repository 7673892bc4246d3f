"""`decodery recipe check`: is it good, and if not, where not."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from ...contracts.errors import DecoderyError, RecipeError
from ...host.registry import Host
from ...recipe.recipe import Recipe
from ..console import Console
from .reading import label, problems_as_data, read


def check(files: Sequence[str], overrides: Sequence[str], as_json: bool) -> int:
    """Print what is wrong with each recipe, or that nothing is -> the exit code."""
    console, host = Console(), Host()
    outcomes = [(name, _outcome(name, overrides, host)) for name in files]
    for name, outcome in outcomes:
        if as_json:
            console.line(json.dumps(_as_data(name, outcome)))
        elif isinstance(outcome, DecoderyError):
            console.line(str(outcome) if isinstance(outcome, RecipeError) else f"error: {outcome}")
        else:
            console.line(f"{label(name)}: ok ({_summary(outcome)})")
    return int(any(isinstance(outcome, DecoderyError) for _, outcome in outcomes))


def _outcome(name: str, overrides: Sequence[str], host: Host) -> Recipe | DecoderyError:
    try:
        return read(name, overrides, host)
    except DecoderyError as error:
        return error


def _as_data(name: str, outcome: Recipe | DecoderyError) -> dict[str, Any]:
    if isinstance(outcome, DecoderyError):
        return {"file": label(name), "ok": False, "problems": problems_as_data(outcome)}
    return {
        "file": label(name),
        "ok": True,
        "name": outcome.name,
        "strategy": outcome.strategy.qualified,
        "processors": [step.qualified for step in outcome.processors],
        "stop": [step.qualified for step in outcome.stop],
        "fingerprint": outcome.fingerprint,
        "problems": [],
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
