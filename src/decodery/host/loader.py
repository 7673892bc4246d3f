"""From an installed distribution to its records, with every failure kept inside.

Discovery reads metadata only. Loading imports one plugin and calls its hooks; `Exception` and `SystemExit` around
the import and around each hook become a report, so one broken plugin never stops the others.
"""

from __future__ import annotations

import importlib
import logging
import sys
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import Distribution, distributions

import pluggy

from .. import __version__
from ..contracts.specs import Spec
from . import hookspecs
from .selection import is_enabled, normalise
from .sound import checked

log = logging.getLogger("decodery")
GROUP = "decodery"
BUILTIN_ID = "decodery"
# A string and not an import: the host stands below the plugins it hosts, the built-in one included.
BUILTIN_MODULE = "decodery.builtin.plugin"
HEAVY = ("torch", "transformers", "numpy")
"""What a plugin's declaring module has no need of, and everybody would wait for."""


@dataclass(frozen=True, slots=True)
class PluginInfo:
    """What metadata says of a plugin. `id` is the distribution's normalised name, `requires` what pip was told."""

    id: str
    version: str
    module: str
    enabled: bool = True
    summary: str = ""
    requires: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LoadedPlugin:
    """A plugin after its import. `trace` and `errors` are empty unless something went wrong; what could be had is
    still there. `heavy` names the libraries that its import brought in."""

    info: PluginInfo
    records: Mapping[str, tuple[Spec, ...]] = field(default_factory=dict)
    problem: str = ""
    trace: str = ""
    import_seconds: float = 0.0
    errors: tuple[BaseException, ...] = ()
    heavy: tuple[str, ...] = ()


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
            yield PluginInfo(
                plugin_id,
                str(metadata.get("version", "")),
                point.value,
                is_enabled(plugin_id, selection),
                str(metadata.get("summary", "")),
                tuple(distribution.requires or ()),
            )


@cache
def load_builtin() -> LoadedPlugin:
    """Its records never change, so that a host costs next to nothing."""
    return load(builtin_info())


def load(info: PluginInfo) -> LoadedPlugin:
    """Import the plugin and call its hooks."""
    start, light = time.perf_counter(), [name for name in HEAVY if name not in sys.modules]
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    records: dict[str, tuple[Spec, ...]] = {}
    problems: list[str] = []
    traces: list[str] = []
    errors: list[BaseException] = []

    def note(error: BaseException, what: str) -> None:
        problems.append(f"{what}: {_line(error)}")
        traces.append(traceback.format_exc())
        errors.append(error)

    with _words_apart():
        try:
            manager.register(_imported(info.module), name=info.id)
            manager.check_pending()
        except (Exception, SystemExit) as error:
            note(error, "cannot be imported")
        else:
            for hook, kind in hookspecs.HOOKS.items():
                try:
                    results = getattr(manager.hook, hook)()
                    records[hook] = tuple(item for result in results for item in checked(kind, result))
                except (Exception, SystemExit) as error:
                    note(error, hook)
    seconds = time.perf_counter() - start
    heavy = tuple(name for name in light if name in sys.modules)
    return LoadedPlugin(info, records, "; ".join(problems), "\n".join(traces), seconds, tuple(errors), heavy)


def _imported(pointer: str) -> object:
    module, _, attribute = pointer.partition(":")
    target: object = importlib.import_module(module)
    for part in filter(None, attribute.split(".")):
        target = getattr(target, part)
    return target


@contextmanager
def _words_apart() -> Iterator[None]:
    """What a plugin prints while it is imported is talk: stdout is for results."""
    if sys.stderr is None:
        yield
        return
    with redirect_stdout(sys.stderr):
        yield


def _line(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]
