"""`decodery plugins`: what pip installed, what each plugin provides, and whether it works."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

from ..contracts.errors import AmbiguousName, UnknownName
from ..contracts.specs import Spec
from ..host.loader import BUILTIN_ID, PluginInfo, builtin_info, normalise, selection_from_environment
from ..host.registry import Host
from .console import Console
from .describe import KINDS, described, lines
from .muting import plugins_muted


def list_plugins(as_json: bool) -> int:
    """What is installed, by metadata alone -> the exit code; so it is with the commands below."""
    console, host = Console(), Host()
    found = [_info(info) for info in (builtin_info(), *host.installed())]
    if as_json:
        _print_json(console, found)
    else:
        console.table(("plugin", "version", "state", "summary"), [tuple(row.values()) for row in found])
        _mention_selection(console)
    _tell_unknown(console, host)
    return 0


def show(name: str, as_json: bool) -> int:
    """What a plugin provides, or every record called `name`. Raises `UnknownName`."""
    console, host = Console(), Host()
    info = next((i for i in (builtin_info(), *host.installed()) if i.id == normalise(name)), None)
    if info is None:
        found = [described(*pair) for pair in _by_name(host, name)]
        if as_json:
            _print_json(console, found)
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
        _print_json(
            console, {**_info(info), "module": info.module, "problem": loaded.problem, "provides": provides}
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


def doctor(trace: bool, as_json: bool) -> int:
    """Import every plugin and say how it fares; 1 if one is broken."""
    console, host = Console(), Host()
    with plugins_muted(), console.waiting("importing the plugins"):
        reports = host.doctor()
    if as_json:
        _print_json(
            console,
            [
                {
                    **_info(r.info),
                    "state": r.state,
                    "import_seconds": round(r.import_seconds, 4),
                    "problem": r.problem,
                    "provides": {KINDS[hook]: names for hook, names in r.provides.items()},
                    **({"trace": r.trace} if trace else {}),
                }
                for r in reports
            ],
        )
    else:
        console.table(
            ("plugin", "version", "state", "import", "provides"),
            [
                (
                    r.info.id,
                    r.info.version,
                    r.state,
                    "" if r.state == "disabled" else f"{r.import_seconds * 1000:.0f} ms",
                    ", ".join(_count(len(names), KINDS[hook]) for hook, names in r.provides.items())
                    or "nothing",
                )
                for r in reports
            ],
        )
        for report in reports:
            if report.problem:
                console.line()
                console.line(f"{report.info.id}: {report.problem}", "bold")
                if trace and report.trace:
                    console.line(report.trace.rstrip())
        if any(r.trace for r in reports) and not trace:
            console.say("\n--trace shows the tracebacks")
        _mention_selection(console)
    _tell_unknown(console, host)
    return int(any(r.state == "broken" for r in reports))


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


def _count(number: int, kinds: str) -> str:
    if number != 1:
        return f"{number} {kinds}"
    return f"1 {kinds[:-3]}y" if kinds.endswith("ies") else f"1 {kinds[:-1]}"


def _info(info: PluginInfo) -> dict[str, str]:
    return {
        "plugin": info.id,
        "version": info.version,
        "state": "installed" if info.enabled else "disabled",
        "summary": info.summary,
    }


def _print_records(console: Console, records: list[dict[str, Any]]) -> None:
    for i, record in enumerate(records):
        if i:
            console.line()
        for text, style in lines(record):
            console.line(text, style)


def _print_json(console: Console, data: object) -> None:
    console.line(json.dumps(data, indent=2, default=repr))


def _mention_selection(console: Console) -> None:
    if "DECODERY_PLUGINS" in os.environ:
        console.say(f"DECODERY_PLUGINS={os.environ['DECODERY_PLUGINS']!r} chooses among them")


def _tell_unknown(console: Console, host: Host) -> None:
    """DECODERY_PLUGINS is a list of names to keep or, with "-", to drop: a mistyped one would do so in silence."""
    known = {info.id for info in (builtin_info(), *host.installed())}
    named = [name.strip().removeprefix("-") for name in (selection_from_environment() or "").split(",")]
    unknown = [repr(name) for name in dict.fromkeys(named) if name and normalise(name) not in known]
    if unknown:
        console.say(f"DECODERY_PLUGINS names what is not installed: {', '.join(unknown)}")
