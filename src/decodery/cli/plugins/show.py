"""`decodery plugins show NAME`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...contracts.errors import AmbiguousName, UnknownName
from ...contracts.specs import Spec
from ...host.loader import BUILTIN_ID, builtin_info, normalise
from ...host.registry import Host
from ..console import Console
from ..describe import KINDS, described, lines
from ..muting import plugins_muted
from .common import headed, print_json


def show(name: str, as_json: bool) -> int:
    """What a plugin provides, or every record called `name`. Raises `UnknownName`."""
    console, host = Console(), Host()
    info = next((i for i in (builtin_info(), *host.installed()) if i.id == normalise(name)), None)
    if info is None:
        found = [described(*pair) for pair in _by_name(host, name)]
        if as_json:
            print_json(console, found)
        else:
            _print_records(console, found)
        return 0
    if not info.enabled:
        raise UnknownName(
            f"plugin {info.id!r} is switched off by DECODERY_PLUGINS", remedy="take it out of that list"
        )
    with plugins_muted():
        loaded = host.load(info)
    prefix = "" if info.id == BUILTIN_ID else f"{info.id}/"
    provides = {
        KINDS[hook]: [described(prefix + record.name, record) for record in records]
        for hook, records in loaded.records.items()
        if records
    }
    if as_json:
        print_json(
            console, {**headed(info), "module": info.module, "problem": loaded.problem, "provides": provides}
        )
    else:
        console.line(f"{info.id} {info.version}", "bold")
        console.line(info.summary or "(no summary)")
        for kind, records in provides.items():
            console.line()
            console.line(f"{kind} ({len(records)})", "underline")
            console.line()
            _print_records(console, records)
    if loaded.problem:
        console.error(
            f"error: plugin {info.id!r} {loaded.problem}\n"
            "  = help: 'decodery plugins doctor --trace' shows the traceback"
        )
    return int(bool(loaded.problem))


def _by_name(host: Host, name: str) -> list[tuple[str, Spec]]:
    """Every record of that name, whatever its kind: `greedy` is a strategy and a recipe."""
    found: list[tuple[str, Spec]] = []
    remedies = []
    for find in (host.step, host.strategy, host.model, host.adapter, host.recipe):
        record, error = _try(find, name)
        found += [record] if record else []
        remedies += [error.remedy] if error else []
    if found:
        return found
    suggestion = next((remedy for remedy in remedies if "did you mean" in remedy), "")
    raise UnknownName(
        f"no plugin, step, strategy, model, adapter or recipe is called {name!r}",
        remedy=suggestion
        or "'decodery plugins list' names the plugins, 'decodery plugins show decodery' what is in the box",
    )


def _try(
    find: Callable[[str], tuple[str, Spec]], name: str
) -> tuple[tuple[str, Spec] | None, UnknownName | None]:
    try:
        return find(name), None
    except AmbiguousName:
        raise
    except UnknownName as error:
        return None, error


def _print_records(console: Console, records: list[dict[str, Any]]) -> None:
    for i, record in enumerate(records):
        if i:
            console.line()
        for text, style in lines(record):
            console.line(text, style)
