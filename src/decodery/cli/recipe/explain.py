"""`decodery recipe explain`: every value in effect, and where it came from."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ...host.registry import Host
from ...recipe.recipe import examine
from ...recipe.report import shown
from ...recipe.tools.explain import Explanation, Origin, Part, Value
from ...recipe.tools.explain import explain as explained
from ..console import Console
from .reading import found, label

if TYPE_CHECKING:
    from ...engine.plan.planned import Planned

Row = tuple[str, str, str]
"""What, its value, where it came from."""


def explain(file: str, overrides: Sequence[str], as_json: bool) -> int:
    """Print the recipe taken apart -> the exit code. Raises `RecipeError`."""
    console, host = Console(), Host()
    examined = examine(found(file, host), overrides, host)
    explanation, recipe = explained(examined), examined.result()
    from ...engine.plan.planned import planned  # noqa: PLC0415  # brings torch, which the other commands do without

    plan = planned(recipe.processors, recipe.strategy, host)
    if as_json:
        data = {"file": label(file), "name": recipe.name, "fingerprint": recipe.fingerprint}
        console.line(json.dumps({**data, **_as_data(explanation), "plan": dataclasses.asdict(plan)}))
        return 0
    console.line(f"{shown(label(file))}  (fingerprint {recipe.fingerprint[:12]})", "bold")
    for heading, rows in _sections(explanation):
        console.line()
        console.line(heading, "underline")
        _print(console, rows)
    console.line()
    console.line("plan", "underline")
    for line in _plan_lines(plan):
        console.line(f"  {line}")
    return 0


def _plan_lines(plan: Planned) -> Iterator[str]:
    if plan.dense:
        yield f"dense: {', '.join(plan.dense)}" + (f" ({plan.opaque})" if plan.opaque else "")
    yield (
        f"fused: {', '.join((*plan.fused, 'the draw'))}" if plan.backend != "reference" else "fused: nothing"
    )
    yield f"kernels: {plan.backend}"
    for reason in plan.reasons:
        yield f"not faster: {reason}"


def _as_data(explanation: Explanation) -> dict[str, Any]:
    return dataclasses.asdict(explanation)


def _sections(explanation: Explanation) -> Iterator[tuple[str, list[Row]]]:
    yield "strategy", list(_rows(explanation.strategy))
    for heading, parts in (("processors", explanation.processors), ("stop", explanation.stop)):
        yield heading, [row for part in parts for row in _rows(part)] or [("  none", "", "")]
    yield "options", [_row("  ", value) for value in explanation.options]
    yield "needs", [(f"  {', '.join(explanation.needs) or 'nothing'}", "", "")]


def _rows(part: Part) -> Iterator[Row]:
    place = part.path.partition("[")[2].rstrip("]")
    yield f"  {place + ' ' if place else ''}{part.name}", "", _where(part.origin)
    yield from (_row("      ", value) for value in part.values)
    for label_, words in part.notes.items():
        yield f"      {label_}: {', '.join(words)}", "", ""


def _row(indent: str, value: Value) -> Row:
    written = json.dumps(value.value, ensure_ascii=False, default=str)
    return f"{indent}{value.name}", shown(written, 60), _where(value.origin)


def _where(origin: Origin) -> str:
    if origin.kind == "default":
        return "default"
    place = f"{shown(origin.source, 200)}:{origin.line}"
    if origin.kind == "command line":
        return f"{place}:{origin.column}"
    return place if origin.kind == "file" else f"{origin.kind}, {place}"


def _print(console: Console, rows: Sequence[Row]) -> None:
    """Columns, but a row without value and place is as long as it likes."""
    full = [row for row in rows if row[2]]
    first = max((len(row[0]) for row in full), default=0)
    second = max((len(row[1]) for row in full), default=0)
    for what, value, where in rows:
        console.line(f"{what.ljust(first)}  {value.ljust(second)}  {where}".rstrip() if where else what)
