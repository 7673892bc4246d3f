"""A recipe that a command line names, read with the host that looks its names up."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from ...contracts.errors import DecoderyError, RecipeError
from ...host.registry import Host
from ...recipe.recipe import Recipe
from ..prompts import read_bytes


def read(name: str, overrides: Sequence[str], host: Host) -> Recipe:
    """The recipe in the file `name`, of that name in the box, or on stdin ("-"). Raises `DecoderyError`."""
    if name == "-":
        return Recipe.loads(read_bytes("-", "recipe"), overrides=overrides, host=host, source=label(name))
    return Recipe.load(name, overrides=overrides, host=host)


def label(name: str) -> str:
    """What messages call it."""
    return "<stdin>" if name == "-" else name


def problems_as_data(error: DecoderyError) -> list[dict[str, Any]]:
    """What is wrong, a problem an item, for --json."""
    problems = error.problems if isinstance(error, RecipeError) else ()
    known = [
        dataclasses.asdict(p) for p in problems if dataclasses.is_dataclass(p) and not isinstance(p, type)
    ]
    return known or [{"message": error.message, "remedy": error.remedy}]
