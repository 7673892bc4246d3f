"""Steps, strategies and errors as Markdown, from the records that plugins declare. Free of Sphinx."""

from __future__ import annotations

import dataclasses
import inspect
import json
from collections.abc import Iterator
from typing import Any, TypeVar

from step_costs import cost

from decodery.cli.describe import described
from decodery.contracts import errors
from decodery.contracts.specs import StepSpec, StrategySpec
from decodery.host import hookspecs
from decodery.host.registry import Host

SAMPLERS = "decodery-samplers"
Record = TypeVar("Record", StepSpec, StrategySpec)


def steps(role: str, plugin: str = "") -> Iterator[str]:
    """The lines of every step of `role` ("processor", "stop") in the box, or in a plugin."""
    for name, spec in _records(StepSpec, plugin):
        if spec.role == role:
            yield from _entry(name, spec)


def glance() -> Iterator[str]:
    """A table of every step, the box's and decodery-samplers': what it is good for, and whether it is fused."""
    yield from ("| step | when to use it | |", "|---|---|---|")
    for name, spec in sorted(_records(StepSpec, SAMPLERS, box=True), key=lambda pair: pair[1].role):
        word = "stop rule" if spec.role == "stop" else cost(name, spec).split(",")[0].split(":")[0]
        yield f"| {{ref}}`{spec.name} <step-{name}>` | {_cell(spec.when)} | {word} |"


def strategies(plugin: str = "") -> Iterator[str]:
    """The lines of every strategy, likewise."""
    for name, spec in _records(StrategySpec, plugin):
        yield from _entry(name, spec)


def hooks() -> Iterator[str]:
    """A table of the hooks, from the hookspecs and the records that they return."""
    yield from ("| hook | returns a list of | | with the fields |", "|---|---|---|---|")
    for hook, record in hookspecs.HOOKS.items():
        told = " ".join((inspect.getdoc(getattr(hookspecs, hook)) or "").split())
        fields = ", ".join(f"`{field.name}`" for field in dataclasses.fields(record))
        yield f"| `{hook}` | `{record.__name__}` | {told} | {fields} |"


def error_classes() -> Iterator[str]:
    """A table of the exceptions in `contracts/errors.py`."""
    yield from ("| error | is also a | when |", "|---|---|---|")
    for name, cls in vars(errors).items():
        if isinstance(cls, type) and issubclass(cls, errors.DecoderyError):
            also = ", ".join(f"`{base.__name__}`" for base in cls.__bases__ if base is not Exception)
            first = (inspect.getdoc(cls) or "").split("\n\n")[0].replace("\n", " ")
            yield f"| `{name}` | {also} | {first} |"


def _records(kind: type[Record], plugin: str, *, box: bool = False) -> list[tuple[str, Record]]:
    # No other plugins: the page is the same wherever it is built.
    return [
        (name, spec) for name, spec in Host(selection=plugin).all(kind) if box or not plugin or "/" in name
    ]


def _entry(name: str, spec: StepSpec | StrategySpec) -> Iterator[str]:
    data = described(name, spec)
    kind, heading = ("step", "###") if isinstance(spec, StepSpec) else ("strategy", "##")
    heading = "###" if "/" in name else heading
    yield from (f"({kind}-{name})=", f"{heading} `{name}`", "", data["summary"], "")
    if isinstance(spec, StepSpec):
        yield from _said(name, spec)
    yield from _parameters(data["parameters"])
    yield from _facts(data, spec)


def _said(name: str, spec: StepSpec) -> Iterator[str]:
    """Formula, use, cost and source."""
    link = spec.reference.startswith("http")
    stop = spec.role == "stop"
    yield from (
        f"- {'ends a row when' if stop else 'formula'}: `{spec.formula}`",
        f"- use: {spec.when}",
        f"- cost: {cost(name, spec)}",
        f"- source: {f'<{spec.reference}>' if link else spec.reference}",
    )
    yield from () if stop else (f"- {{ref}}`a picture <picture-{name}>`",)
    yield ""


def _parameters(parameters: list[dict[str, Any]]) -> Iterator[str]:
    if not parameters:
        yield from ("It takes no parameters.", "")
        return
    yield from ("| parameter | type | default | also accepted |", "|---|---|---|---|")
    for parameter in parameters:
        default = "required" if parameter.get("required") else f"`{json.dumps(parameter['default'])}`"
        also = ", ".join(f"`{alias}`" for alias in parameter.get("aliases", ()))
        yield f"| `{parameter['name']}` | {_cell(parameter['type'])} | {default} | {also} |"
    yield ""


def _facts(data: dict[str, Any], spec: StepSpec | StrategySpec) -> Iterator[str]:
    labels = {
        "also called": "aliases",
        "traits": "traits",
        "needs": "needs",
        "wants": "wants",
        "further models": "roles",
    }
    present = {label: data[key] for label, key in labels.items() if key in data}
    said = [(label, ", ".join(f"`{value}`" for value in values)) for label, values in present.items()]
    if isinstance(spec, StrategySpec):
        said.append(("draw", f"`{spec.draw}`"))
        if spec.ranks:
            said.append(("ranks", "yes"))
    if isinstance(spec, StepSpec) and spec.role == "stop":
        said.append(("finish reason", f"`{spec.finish_reason or spec.name}`"))
    if spec.reference and isinstance(spec, StrategySpec):
        link = spec.reference.startswith("http")
        said.append(("reference", f"<{spec.reference}>" if link else spec.reference))
    yield from (f"- {label}: {value}" for label, value in said)
    yield ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
