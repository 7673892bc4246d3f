"""What the commands about plugins share."""

from __future__ import annotations

import json
import os
from typing import Any

from ...host.loader import PluginInfo, builtin_info
from ...host.registry import Host
from ...host.selection import VARIABLE, named, normalise, selection_from_environment
from ..console import Console


def headed(info: PluginInfo) -> dict[str, Any]:
    """What metadata says of a plugin, as data."""
    return {
        "plugin": info.id,
        "version": info.version,
        "state": "installed" if info.enabled else "disabled",
        "summary": info.summary,
    }


def print_json(console: Console, data: object) -> None:
    console.line(json.dumps(data, indent=2, default=repr))


def mention_selection(console: Console) -> None:
    if VARIABLE in os.environ:
        console.say(f"{VARIABLE}={os.environ[VARIABLE]!r} chooses among them")


def tell_unknown(console: Console, host: Host) -> None:
    """DECODERY_PLUGINS is a list of names to keep or, with "-", to drop: a mistyped one would do so in silence."""
    known = {info.id for info in (builtin_info(), *host.installed())}
    names = [name.removeprefix("-") for name in named(selection_from_environment() or "")]
    unknown = [repr(name) for name in dict.fromkeys(names) if name and normalise(name) not in known]
    if unknown:
        console.say(f"{VARIABLE} names what is not installed: {', '.join(unknown)}")
