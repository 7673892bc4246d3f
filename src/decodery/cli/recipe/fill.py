"""`decodery recipe fill`: a recipe with everything spelled out that it left to others."""

from __future__ import annotations

import json
from collections.abc import Sequence
from difflib import unified_diff

from ...host.registry import Host
from ...recipe.compose.layers import own_tree
from ...recipe.compose.sources import Found
from ...recipe.keys import TOP_LEVEL
from ...recipe.recipe import examine
from ...recipe.syntax.nodes import plain_data
from ...recipe.syntax.write import document
from ...recipe.written import as_data
from ..console import Console
from .reading import found, label


def fill(file: str, overrides: Sequence[str], diff: bool, as_json: bool) -> int:
    """Print the filled recipe, or with `diff` what filling changes -> the exit code. Raises `RecipeError`."""
    console, host = Console(), Host()
    source = found(file, host)
    recipe = examine(source, overrides, host).result()
    text = recipe.to_yaml(filled=True)
    if as_json:
        data = {
            "file": label(file),
            "fingerprint": recipe.fingerprint,
            "recipe": as_data(recipe, filled=True),
        }
        console.line(json.dumps({**data, "diff": _diff(source, text)} if diff else data))
    elif diff:
        for line in _diff(source, text):
            console.line(line, {"+": "green", "-": "red"}.get(line[:1], ""))
    else:
        console.write(text)
    return 0


def _diff(source: Found, filled: str) -> list[str]:
    """From what the file says, written alike, to the filled recipe; comments are in neither."""
    own: dict[str, object] = plain_data(own_tree(source))  # type: ignore[assignment]
    ordered = {key: own[key] for key in TOP_LEVEL if key in own}
    names = (source.name, f"{source.name}, filled")
    return list(unified_diff(document(ordered).splitlines(), filled.splitlines(), *names, lineterm=""))
