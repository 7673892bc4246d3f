"""`decodery plugins show NAME`."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any

from ...contracts.errors import AmbiguousName, UnknownName
from ...contracts.specs import Spec
from ...host.loader import BUILTIN_ID, PluginInfo, builtin_info
from ...host.registry import Host
from ...host.selection import VARIABLE, normalise
from ..console import Console
from ..describe import KINDS, described, lines
from ..muting import plugins_muted
from .common import print_json
from .doctor import reported, tell


def show(name: str, as_json: bool) -> int:
    """What a plugin provides, or every record called `name`. Raises `UnknownName`."""
    console, host = Console(), Host()
    info = next((i for i in (builtin_info(), *host.installed()) if i.id == normalise(name)), None)
    if info is None:
        found = [{**described(*pair), **_whose(host, pair[0])} for pair in _by_name(host, name)]
        if as_json:
            print_json(console, found)
        else:
            _print_records(console, found)
        return 0
    if not info.enabled:
        raise UnknownName(
            f"plugin {info.id!r} is switched off by {VARIABLE}",
            remedy="take it out of that list, or '--no-plugin' off the command line",
        )
    return _show_plugin(console, host, info, as_json)


def _show_plugin(console: Console, host: Host, info: PluginInfo, as_json: bool) -> int:
    # All are imported, since a conflict is with somebody.
    with plugins_muted():
        report = next(each for each in host.doctor() if each.info.id == info.id)
        loaded = host.load(info)
    prefix = "" if info.id == BUILTIN_ID else f"{info.id}/"
    provides = {
        KINDS[hook]: [described(prefix + record.name, record) for record in records]
        for hook, records in loaded.records.items()
        if records
    }
    if as_json:
        print_json(console, {**reported(report), "provides": provides})
    else:
        console.line(f"{info.id} {info.version}  ({report.state})", "bold")
        console.line(info.summary or "(no summary)")
        console.line(f"module {info.module}, imported in {report.import_seconds * 1000:.0f} ms")
        for kind, records in provides.items():
            console.line()
            console.line(f"{kind} ({len(records)})", "underline")
            console.line()
            _print_records(console, records)
    if report.state == "broken":
        console.error(f"error: plugin {info.id!r}: {report.problem}\n  = help: {report.remedy}")
        console.say("'decodery plugins doctor --trace' shows the traceback")
        return 1
    if not as_json:
        tell(console, report, trace=False)
    return 0


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
    raise UnknownName(
        f"no plugin, step, strategy, model, adapter or recipe is called {name!r}",
        remedy=_suggestion(host, name, remedies),
    )


def _suggestion(host: Host, name: str, remedies: list[str]) -> str:
    """The nearest name of any kind, a plugin's too; and who might have brought the name."""
    plugins = [info.id for info in host.installed()]
    close = difflib.get_close_matches(normalise(name), plugins, n=1)
    meant = f"did you mean {close[0]!r}?" if close else ""
    told = [remedy for word in ("does that", "did you mean") for remedy in remedies if word in remedy]
    suggestion = meant or next(iter(told), "")
    # The host says of each kind of name alike who is broken or switched off.
    _, semicolon, others = remedies[0].partition("; or ")
    if suggestion:
        return suggestion if "; or " in suggestion or not others else f"{suggestion}; or {others}"
    known = "'decodery plugins list' names the plugins, 'decodery plugins show decodery' what is in the box"
    return f"{known}{semicolon}{others}"


def _whose(host: Host, qualified: str) -> dict[str, str]:
    """The distribution that a record is from, and its version, as "from"."""
    plugin, slash, _ = qualified.partition("/")
    info = next((i for i in host.installed() if i.id == plugin), None) if slash else builtin_info()
    return {} if info is None else {"from": f"{info.id} {info.version}"}


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
