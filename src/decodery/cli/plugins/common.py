"""What the commands about plugins share."""

from __future__ import annotations

import json
import os
from typing import Any

from ...host.loader import PluginInfo, builtin_info, normalise, selection_from_environment
from ...host.registry import Host
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
    if "DECODERY_PLUGINS" in os.environ:
        console.say(f"DECODERY_PLUGINS={os.environ['DECODERY_PLUGINS']!r} chooses among them")


def tell_unknown(console: Console, host: Host) -> None:
    """DECODERY_PLUGINS is a list of names to keep or, with "-", to drop: a mistyped one would do so in silence."""
    known = {info.id for info in (builtin_info(), *host.installed())}
    named = [name.strip().removeprefix("-") for name in (selection_from_environment() or "").split(",")]
    unknown = [repr(name) for name in dict.fromkeys(named) if name and normalise(name) not in known]
    if unknown:
        console.say(f"DECODERY_PLUGINS names what is not installed: {', '.join(unknown)}")
