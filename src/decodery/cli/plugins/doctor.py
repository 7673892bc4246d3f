"""`decodery plugins doctor`."""

from __future__ import annotations

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
        print_json(
            console,
            [
                {
                    **headed(r.info),
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
        mention_selection(console)
    tell_unknown(console, host)
    return int(any(r.state == "broken" for r in reports))


def _count(number: int, kinds: str) -> str:
    if number != 1:
        return f"{number} {kinds}"
    return f"1 {kinds[:-3]}y" if kinds.endswith("ies") else f"1 {kinds[:-1]}"
