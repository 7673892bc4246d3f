"""How each plugin fares, in full: what `plugins doctor` and `plugins show` tell."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from ..contracts.specs import Factory, Spec
from .loader import BUILTIN_ID, LoadedPlugin, PluginInfo
from .remedies import remedy, unmet
from .source import locate

SLOW = 0.5
"""Seconds of import that a user notices: a bare unknown name imports every plugin."""


@dataclass(frozen=True, slots=True)
class PluginReport:
    """`plugins doctor`'s row.

    state     "ok"; "broken": something that it should bring is not there; "conflict": it brings a name that another
              one brings too; "disabled"
    problem   what is broken, and the names in conflict, in one line
    remedy    what would mend it
    notes     what works and should be known: requirements that are not met, a slow import
    """

    info: PluginInfo
    state: str
    provides: dict[str, list[str]]
    problem: str = ""
    trace: str = ""
    import_seconds: float = 0.0
    conflicts: tuple[str, ...] = ()
    remedy: str = ""
    notes: tuple[str, ...] = ()


def examine(infos: Sequence[PluginInfo], load: Callable[[PluginInfo], LoadedPlugin]) -> list[PluginReport]:
    """Load every enabled plugin and report on all, in the given order."""
    loaded = {info.id: load(info) for info in infos if info.enabled}
    return [
        report(loaded[info.id], list(loaded.values())) if info.enabled else PluginReport(info, "disabled", {})
        for info in infos
    ]


def report(plugin: LoadedPlugin, all_loaded: Sequence[LoadedPlugin]) -> PluginReport:
    """On one plugin among all that are loaded."""
    conflicts = tuple(_conflicts(plugin, all_loaded))
    nowhere = tuple(_pointing_nowhere(plugin))
    broken = [each for each in (plugin.problem, *nowhere) if each]
    lacking = unmet(plugin.info)
    notes = [f"needs {each}" for each in lacking]
    if plugin.info.id != BUILTIN_ID and (plugin.heavy or plugin.import_seconds > SLOW):
        brought = f", which imports {' and '.join(plugin.heavy)}" if plugin.heavy else ""
        notes.append(
            f"slow: {plugin.import_seconds:.1f} s for its module {plugin.info.module}{brought}; "
            "whoever asks for a name that is not in the box waits for it"
        )
    return PluginReport(
        plugin.info,
        "broken" if broken else "conflict" if conflicts else "ok",
        {hook: [record.name for record in records] for hook, records in plugin.records.items() if records},
        "; ".join([*broken, *conflicts]),
        plugin.trace,
        plugin.import_seconds,
        conflicts,
        remedy(plugin, lacking) or (_NOWHERE if nowhere else _CONFLICT if conflicts else ""),
        tuple(notes),
    )


_NOWHERE = (
    "its package names the wrong place or is incomplete: 'pip install --force-reinstall' brings what it has"
)
_CONFLICT = "recipes write such a name with its plugin's prefix; what is in the box keeps its bare name"


def pointers(record: Spec) -> Iterator[tuple[str, Factory]]:
    """(field, value) of a record's fields that name code."""
    for field in ("factory", "lowering", "probe", "available", "detector"):
        value = getattr(record, field, None)
        if value is not None:
            yield field, value


def _pointing_nowhere(plugin: LoadedPlugin) -> Iterator[str]:
    """Strings for which there is no file. Nothing is imported: torch may be behind them."""
    for records in plugin.records.values():
        for record in records:
            for field, value in pointers(record):
                if isinstance(value, str) and locate(value) is None:
                    yield f"{record.name}: there is no {value!r}, its {field}"


def _conflicts(plugin: LoadedPlugin, all_loaded: Sequence[LoadedPlugin]) -> Iterator[str]:
    if plugin.info.id == BUILTIN_ID:
        return
    for hook, records in plugin.records.items():
        for other in all_loaded:
            if other.info.id != plugin.info.id:
                theirs = {name for record in other.records.get(hook, ()) for name in _all_names(record)}
                shared = sorted({name for record in records for name in _all_names(record)} & theirs)
                if shared:
                    yield f"{', '.join(shared)} also in {other.info.id}"


def _all_names(record: Spec) -> tuple[str, ...]:
    return (record.name, *getattr(record, "aliases", ()))
