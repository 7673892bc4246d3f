"""A recipe that a command line names, read with the host that looks its names up."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from ...contracts.errors import DecoderyError, RecipeError
from ...host.registry import Host
from ...recipe.compose.sources import Found, Place, fetch
from ...recipe.recipe import Recipe, examine
from ...recipe.syntax.text import MAX_BYTES
from ..prompts import read_bytes


def read(name: str, overrides: Sequence[str], host: Host) -> Recipe:
    """The recipe in the file `name`, of that name in the box, or on stdin ("-"). Raises `DecoderyError`."""
    return examine(found(name, host), overrides, host).result()


def found(name: str, host: Host) -> Found:
    """Its text, and where the paths in it begin: those in a text from stdin, in the current directory."""
    if name == "-":
        return Found(label(name), read_bytes("-", "recipe", MAX_BYTES + 1), Place(""))
    return fetch(name, host)


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
