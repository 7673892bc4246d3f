"""`decodery plugins doctor`."""

from __future__ import annotations

from typing import Any

from ...host.doctor import PluginReport
from ...host.registry import Host
from ..console import Console
from ..describe import KINDS
from ..muting import plugins_muted
from .common import headed, mention_selection, print_json, tell_unknown


def doctor(trace: bool, as_json: bool) -> int:
    """Import every plugin and say how it fares; 1 if one is broken."""
    console, host = Console(), Host()
    with plugins_muted(), console.waiting("importing the plugins"):
        reports = host.doctor()
    if as_json:
        print_json(console, [reported(each, trace) for each in reports])
    else:
        console.table(("plugin", "version", "state", "import", "provides"), [_row(each) for each in reports])
        for each in reports:
            tell(console, each, trace)
        if any(each.trace for each in reports) and not trace:
            console.say("\n--trace shows the tracebacks")
        mention_selection(console)
        tell_kernels(console, host)
    tell_unknown(console, host)
    return int(any(each.state == "broken" for each in reports))


def tell_kernels(console: Console, host: Host) -> None:
    """Every backend, the fastest first, and why one cannot be used."""
    from ...kernels.table import OURS, VARIABLE, table, wanted  # noqa: PLC0415  # brings torch

    console.line()
    for entry in table(host):
        console.line(f"kernels {entry.name}: {entry.problem or 'ok'}")
    absent = sorted(OURS - {info.id for info in host.installed()})
    if absent:
        console.line(f"faster kernels, not installed: {', '.join(absent)}")
    if wanted():
        console.say(f"{VARIABLE}={wanted()!r} chooses among them")


def reported(report: PluginReport, trace: bool = True) -> dict[str, Any]:
    """A report as data; a traceback only when asked for."""
    return {
        **headed(report.info),
        "module": report.info.module,
        "state": report.state,
        "import_seconds": round(report.import_seconds, 4),
        "problem": report.problem,
        "remedy": report.remedy,
        "conflicts": report.conflicts,
        "notes": report.notes,
        "requires": report.info.requires,
        "provides": {KINDS[hook]: names for hook, names in report.provides.items()},
        **({"trace": report.trace} if trace else {}),
    }


def tell(console: Console, report: PluginReport, trace: bool) -> None:
    """What is wrong with a plugin, what would mend it, and what else should be known of it; nothing if all is well."""
    if not (report.problem or report.notes):
        return
    console.line()
    console.line(f"{report.info.id}: {report.problem or report.notes[0]}", "bold")
    for note in report.notes if report.problem else report.notes[1:]:
        console.line(f"  {note}")
    if report.remedy:
        console.line(f"  = help: {report.remedy}")
    if trace and report.trace:
        console.line(report.trace.rstrip())


def _row(report: PluginReport) -> tuple[str, ...]:
    provides = ", ".join(_count(len(names), KINDS[hook]) for hook, names in report.provides.items())
    seconds = "" if report.state == "disabled" else f"{report.import_seconds * 1000:.0f} ms"
    return (report.info.id, report.info.version, report.state, seconds, provides or "nothing")


def _count(number: int, kinds: str) -> str:
    if number != 1:
        return f"{number} {kinds}"
    return f"1 {kinds[:-3]}y" if kinds.endswith("ies") else f"1 {kinds[:-1]}"
