"""`decodery plugins list`."""

from __future__ import annotations

from ...host.loader import builtin_info
from ...host.registry import Host
from ..console import Console
from .common import headed, mention_selection, print_json, tell_unknown


def list_plugins(as_json: bool) -> int:
    """What is installed, by metadata alone -> the exit code."""
    console, host = Console(), Host()
    found = [headed(info) for info in (builtin_info(), *host.installed())]
    if as_json:
        print_json(console, found)
    else:
        console.table(("plugin", "version", "state", "summary"), [tuple(row.values()) for row in found])
        mention_selection(console)
    tell_unknown(console, host)
    return 0
