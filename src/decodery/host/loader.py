"""From an installed distribution to its records, with every failure kept inside.

Discovery reads metadata only. Loading imports one plugin and calls its hooks; `Exception` and `SystemExit` around
the import and around each hook become a report, so one broken plugin never stops the others.
"""

from __future__ import annotations

import importlib
import logging
import os
import re
import time
import traceback
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import Distribution, distributions

import pluggy

from .. import __version__
from ..contracts.specs import Spec
from . import hookspecs

log = logging.getLogger("decodery")
GROUP = "decodery"
BUILTIN_ID = "decodery"
# A string and not an import: the host stands below the plugins it hosts, the built-in one included.
BUILTIN_MODULE = "decodery.builtin.plugin"
NAME = re.compile(r"[a-z][a-z0-9_]*\Z")


@dataclass(frozen=True, slots=True)
class PluginInfo:
    """What metadata says of a plugin. `id` is the distribution's normalised name."""

    id: str
    version: str
    module: str
    enabled: bool = True
    summary: str = ""


@dataclass(frozen=True, slots=True)
class LoadedPlugin:
    """A plugin after its import. `trace` is empty unless something went wrong; what could be had is still there."""

    info: PluginInfo
    records: Mapping[str, tuple[Spec, ...]] = field(default_factory=dict)
    problem: str = ""
    trace: str = ""
    import_seconds: float = 0.0


def normalise(name: str) -> str:
    """Distribution names compare like pip compares them."""
    return re.sub(r"[-_.]+", "-", name).lower()


@cache
def builtin_info() -> PluginInfo:
    """The plugin in the box; it needs no metadata to be found."""
    return PluginInfo(BUILTIN_ID, __version__, BUILTIN_MODULE, summary="the plugin in the box")


def discover(selection: str | None) -> list[PluginInfo]:
    """Installed plugins by metadata alone, sorted by id. `selection` is the value of DECODERY_PLUGINS or None."""
    found: dict[str, PluginInfo] = {}
    for distribution in distributions():
        try:
            for info in _plugins_of(distribution, selection):
                found.setdefault(info.id, info)
        except Exception as error:  # a half-removed package must not hide the whole ones
            log.warning("decodery: a package with broken metadata is passed over: %s", _line(error))
    return sorted(found.values(), key=lambda info: info.id)


def _plugins_of(distribution: Distribution, selection: str | None) -> Iterator[PluginInfo]:
    for point in distribution.entry_points:
        if point.group == GROUP:
            metadata = distribution.metadata.json
            if "name" not in metadata:
                raise ValueError(f"entry point {point.value!r} of a distribution without a name")
            plugin_id = normalise(str(metadata["name"]))
            version, summary = str(metadata.get("version", "")), str(metadata.get("summary", ""))
            yield PluginInfo(plugin_id, version, point.value, is_enabled(plugin_id, selection), summary)


def is_enabled(plugin_id: str, selection: str | None) -> bool:
    """`a,b`: only these; `-a`: all but; empty: none; None (unset): all."""
    if selection is None:
        return True
    names = [name.strip() for name in selection.split(",") if name.strip()]
    dropped = {normalise(name[1:]) for name in names if name.startswith("-")}
    kept = {normalise(name) for name in names if not name.startswith("-")}
    if plugin_id in dropped:
        return False
    return plugin_id in kept if kept or not dropped else True


def selection_from_environment() -> str | None:
    return os.environ.get("DECODERY_PLUGINS")


@cache
def load_builtin() -> LoadedPlugin:
    """Its records never change, so that a host costs next to nothing."""
    return load(builtin_info())


def load(info: PluginInfo) -> LoadedPlugin:
    """Import the plugin and call its hooks."""
    start = time.perf_counter()
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    try:
        module: object = importlib.import_module(info.module.partition(":")[0])
        for part in filter(None, info.module.partition(":")[2].split(".")):
            module = getattr(module, part)
        manager.register(module, name=info.id)
        manager.check_pending()
    except (Exception, SystemExit) as error:
        return LoadedPlugin(
            info,
            {},
            f"cannot be imported: {_line(error)}",
            traceback.format_exc(),
            time.perf_counter() - start,
        )
    records: dict[str, tuple[Spec, ...]] = {}
    problems: list[str] = []
    traces: list[str] = []
    for hook, kind in hookspecs.HOOKS.items():
        try:
            returned = [
                item for result in getattr(manager.hook, hook)() for item in _checked(hook, kind, result)
            ]
            records[hook] = tuple(returned)
        except (Exception, SystemExit) as error:
            problems.append(f"{hook}: {_line(error)}")
            traces.append(traceback.format_exc())
    return LoadedPlugin(info, records, "; ".join(problems), "\n".join(traces), time.perf_counter() - start)


def _checked(hook: str, kind: type[Spec], result: object) -> Iterable[Spec]:
    if not isinstance(result, (list, tuple)):
        raise TypeError(f"must return a list of {kind.__name__}, not {type(result).__name__}")
    names: set[str] = set()
    for item in result:
        if not isinstance(item, kind):
            raise TypeError(
                f"must return a list of {kind.__name__}; one of its items is {type(item).__name__}"
            )
        if hook not in ("provide_models", "provide_recipes") and not NAME.match(item.name):
            raise ValueError(
                f"{item.name!r} is no name: small letters, digits and '_', starting with a letter"
            )
        if item.name in names:
            raise ValueError(f"{item.name!r} comes twice")
        names.add(item.name)
    return result


def _line(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]
