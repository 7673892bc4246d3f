"""`decodery recipe diff`: what one recipe does and another does not."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence

from ...host.registry import Host
from ...recipe.report import shown
from ...recipe.tools.difference import Change, differences
from ..console import Console
from .reading import label, read

_SIGNS = {"changed": "~", "moved": ">", "removed": "-", "added": "+"}
_STYLES = {"added": "green", "removed": "red"}


def diff(first: str, second: str, overrides: Sequence[str], as_json: bool) -> int:
    """Print what leads from `first` to `second`, which gets the overrides -> 1 if they differ, as of diff(1).

    Raises `RecipeError`.
    """
    console, host = Console(), Host()
    before, after = read(first, (), host), read(second, overrides, host)
    changes = differences(before, after)
    if as_json:
        data = {
            "first": label(first),
            "second": label(second),
            "same": not changes,
            "changes": [dataclasses.asdict(change) for change in changes],
        }
        console.line(json.dumps(data))
    elif changes:
        console.line(f"from {shown(label(first))} to {shown(label(second))}:", "bold")
        for change in changes:
            console.line(f"  {_line(change)}", _STYLES.get(change.kind, ""))
    else:
        console.line(f"{shown(label(first))} and {shown(label(second))} do the same")
    return int(bool(changes))


def _line(change: Change) -> str:
    sign = _SIGNS[change.kind]
    if change.kind == "moved":
        return f"{sign} {change.name}  ({change.before} -> {change.after})"
    if change.kind == "changed":
        return f"{sign} {change.name}: {_short(change.before)} -> {_short(change.after)}  ({change.path})"
    written = change.before if change.kind == "removed" else change.after
    return f"{sign} {_step(written)}  ({change.path})"


def _step(written: object) -> str:
    """A step as a recipe writes it."""
    if isinstance(written, dict):
        return ", ".join(f"{name}: {_short(value)}" for name, value in written.items())
    return str(written)


def _short(value: object) -> str:
    return shown(json.dumps(value, ensure_ascii=False), 60)
