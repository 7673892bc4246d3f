"""The conformance kit over an installed plugin, as items of pytest."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest

from ..contracts.errors import InvalidInput
from ..contracts.specs import Spec
from ..host.loader import BUILTIN_ID, PluginInfo, builtin_info, discover
from ..host.registry import Host
from ..host.selection import normalise
from .conformance import Conformance, checks_for
from .parametrize import marks, refuse_strangers


class ConformanceItem(pytest.Item):
    """One check of one record."""

    def __init__(self, *, spec: Spec, check: Conformance, **more: Any) -> None:
        super().__init__(**more)
        self.spec, self.check = spec, check

    def runtest(self) -> None:
        self.check(self.spec)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        # The sentence says it all; what a step raised is shown from there on.
        told = isinstance(excinfo.value, AssertionError) and excinfo.value.__cause__ is None
        return str(excinfo.value) if told else super().repr_failure(excinfo)

    def reportinfo(self) -> tuple[Any, None, str]:
        return self.path, None, self.name


def conformance_items(
    session: pytest.Session, plugin: str, settings: Mapping[str, Sequence[str]]
) -> Iterator[ConformanceItem]:
    """The checks of every record of an installed plugin. Raises `pytest.UsageError` for one that is not there or
    broken."""
    info = _info(plugin)
    loaded = Host("", plugins=[] if info.id == BUILTIN_ID else [info]).load(info)
    if loaded.problem:
        raise pytest.UsageError(f"plugin {info.id} {loaded.problem}; 'decodery plugins doctor' says more")
    specs = [record for records in loaded.records.values() for record in records]
    samples, neutral = (_as_json(settings[name]) for name in ("decodery_samples", "decodery_neutral"))
    expected = dict(_split(line) for line in settings["decodery_expected_failures"])
    cases = [
        (spec, check)
        for spec in specs
        for check in checks_for(spec, samples=samples.get(spec.name), neutral=neutral.get(spec.name))
    ]
    if not cases:
        raise pytest.UsageError(f"plugin {info.id} brings nothing that could be checked")
    try:
        refuse_strangers(expected, cases)
    except InvalidInput as error:
        raise pytest.UsageError(f"decodery_expected_failures: {error}") from None
    for spec, check in cases:
        name = f"{info.id}/{spec.name}.{check.name}"
        item = ConformanceItem.from_parent(session, name=name, nodeid=name, spec=spec, check=check)
        for mark in marks(spec, check, expected):
            item.add_marker(mark)
        yield item


def _info(plugin: str) -> PluginInfo:
    installed = {info.id: info for info in (builtin_info(), *discover(None))}
    name = normalise(plugin)
    if name not in installed:
        close = difflib.get_close_matches(name, installed, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(installed)}"
        raise pytest.UsageError(f"--decodery-conformance: no plugin {plugin!r} is installed; {hint}")
    return installed[name]


def _as_json(lines: Sequence[str]) -> dict[str, Any]:
    found = {}
    for line in lines:
        name, text = _split(line)
        try:
            found[name] = json.loads(text)
        except ValueError as error:
            raise pytest.UsageError(f"{line!r}: {error}; write 'name: {{\"parameter\": 1}}'") from None
    return found


def _split(line: str) -> tuple[str, str]:
    name, colon, rest = line.partition(":")
    if not colon:
        raise pytest.UsageError(f"{line!r} has no colon; write 'name: ...'")
    return name.strip(), rest.strip()
