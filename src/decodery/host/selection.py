"""Which plugins may come: DECODERY_PLUGINS, decided before anything is imported.

`a,b`: only these; `-a`: all but; empty: none; unset: all.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

VARIABLE = "DECODERY_PLUGINS"


def normalise(name: str) -> str:
    """Distribution names compare like pip compares them."""
    return re.sub(r"[-_.]+", "-", name).lower()


def selection_from_environment() -> str | None:
    return os.environ.get(VARIABLE)


def is_enabled(plugin_id: str, selection: str | None) -> bool:
    """Whether `selection`, the value of DECODERY_PLUGINS or None, lets a plugin in."""
    if selection is None:
        return True
    names = named(selection)
    dropped = {normalise(name[1:]) for name in names if name.startswith("-")}
    kept = {normalise(name) for name in names if not name.startswith("-")}
    if plugin_id in dropped:
        return False
    return plugin_id in kept if kept or not dropped else True


def without(selection: str | None, plugins: Sequence[str]) -> str | None:
    """The selection that lets the same plugins in, less `plugins`."""
    if not plugins or (selection is not None and not named(selection)):
        return selection  # nothing to take away, or nothing left to take it from
    return ",".join([*named(selection or ""), *(f"-{name}" for name in plugins)])


def named(selection: str) -> list[str]:
    """The names in it, those to drop with their "-"."""
    return [name.strip() for name in selection.split(",") if name.strip()]
