"""Names -> records. Built-in names resolve without importing any plugin and cannot be shadowed.

A qualified name ("acme-decode/top_a") imports that plugin alone; a bare unknown name imports all of them.
"""

from __future__ import annotations

import difflib
import logging
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

from ..contracts.errors import AmbiguousName, UnknownName
from ..contracts.specs import AdapterSpec, KernelSpec, ModelSpec, RecipeSource, Spec, StepSpec, StrategySpec
from .hookspecs import HOOKS
from .loader import BUILTIN_ID, LoadedPlugin, PluginInfo, builtin_info, discover, load, load_builtin
from .selection import VARIABLE, normalise, selection_from_environment
from .suggestions import meant

if TYPE_CHECKING:
    from .doctor import PluginReport

log = logging.getLogger("decodery")
S = TypeVar("S", StepSpec, StrategySpec, AdapterSpec, ModelSpec, KernelSpec, RecipeSource)

_HOOK_OF = {kind: hook for hook, kind in HOOKS.items()}
_WORD = {
    StepSpec: "step",
    StrategySpec: "strategy",
    AdapterSpec: "adapter",
    ModelSpec: "model",
    KernelSpec: "kernel",
    RecipeSource: "recipe",
}


class Host:
    """Looks names up. Cheap to make: nothing is imported or scanned before a name asks for it.

    `selection` overrides the environment variable DECODERY_PLUGINS (same syntax). `plugins` are all there are besides
    the box, whatever is installed; `loaded` too, and their records are at hand.
    """

    def __init__(
        self,
        selection: str | None = None,
        *,
        plugins: list[PluginInfo] | None = None,
        loaded: Sequence[LoadedPlugin] = (),
    ) -> None:
        self._selection = selection if selection is not None else selection_from_environment()
        self._plugins = [*(plugins or ()), *(p.info for p in loaded)] if loaded else plugins
        self._loaded = {plugin.info.id: plugin for plugin in loaded}

    # -- what is installed ------------------------------------------------------------------------------------

    def installed(self) -> list[PluginInfo]:
        """By metadata alone; imports nothing."""
        if self._plugins is None:
            self._plugins = discover(self._selection)
        return self._plugins

    def load(self, info: PluginInfo) -> LoadedPlugin:
        """Import one plugin, once; a broken one says so in one line."""
        if info.id not in self._loaded:
            loaded = self._loaded[info.id] = load_builtin() if info.id == BUILTIN_ID else load(info)
            if loaded.problem:
                log.warning(
                    "decodery: plugin %s %s ('decodery plugins doctor' has the trace)",
                    info.id,
                    loaded.problem,
                )
        return self._loaded[info.id]

    def doctor(self) -> list[PluginReport]:
        """Import everything and say how each plugin fares."""
        from .doctor import examine  # noqa: PLC0415 (lazy: start-up)

        return examine([builtin_info(), *self.installed()], self.load)

    # -- names ------------------------------------------------------------------------------------------------

    def step(self, name: str) -> tuple[str, StepSpec]:
        """(qualified name, spec). Raises `UnknownName` or `AmbiguousName`; so do the methods below."""
        return self._find(StepSpec, name)

    def strategy(self, name: str) -> tuple[str, StrategySpec]:
        return self._find(StrategySpec, name)

    def adapter(self, name: str) -> tuple[str, AdapterSpec]:
        return self._find(AdapterSpec, name)

    def model(self, name: str) -> tuple[str, ModelSpec]:
        return self._find(ModelSpec, name)

    def recipe(self, name: str) -> tuple[str, RecipeSource]:
        return self._find(RecipeSource, name)

    def adapters(self) -> list[AdapterSpec]:
        """All adapters, the built-in ones first among equals, by falling priority."""
        return sorted((spec for _, spec in self.all(AdapterSpec)), key=lambda spec: -spec.priority)

    def kernels(self, plugins: Collection[str]) -> list[tuple[str, KernelSpec]]:
        """(qualified name, record) of the kernels of these plugins, where enabled; imports no other plugin."""
        return [
            (f"{info.id}/{spec.name}", spec)
            for info in self._enabled()
            if info.id in plugins
            for spec in self._records(info, KernelSpec)
        ]

    def all(self, kind: type[S]) -> list[tuple[str, S]]:
        """(qualified name, record) of every enabled plugin; imports all of them."""
        found = [(spec.name, spec) for spec in self._records(builtin_info(), kind)]
        for info in self._enabled():
            found += [(f"{info.id}/{spec.name}", spec) for spec in self._records(info, kind)]
        return found

    def builtin(self, kind: type[S]) -> list[S]:
        """The records of the plugin in the box."""
        return list(self._records(builtin_info(), kind))

    def _find(self, kind: type[S], name: str) -> tuple[str, S]:
        plugin_id, slash, bare = name.rpartition("/")
        if slash:
            return self._find_qualified(kind, normalise(plugin_id), bare)
        for spec in self._records(builtin_info(), kind):
            if _answers(spec, name):
                return spec.name, spec
        found = [
            (f"{info.id}/{spec.name}", spec)
            for info in self._enabled()
            for spec in self._records(info, kind)
            if _answers(spec, name)
        ]
        if len(found) == 1:
            return found[0]
        if found:
            names = ", ".join(qualified for qualified, _ in found)
            raise AmbiguousName(
                f"{_WORD[kind]} {name!r} is provided by several plugins: {names}",
                remedy="write the name with its plugin's prefix",
            )
        raise self._unknown(kind, name)

    def _find_qualified(self, kind: type[S], plugin_id: str, bare: str) -> tuple[str, S]:
        prefix = "" if plugin_id == BUILTIN_ID else f"{plugin_id}/"
        infos = (
            [builtin_info()]
            if plugin_id == BUILTIN_ID
            else [i for i in self.installed() if i.id == plugin_id]
        )
        if not infos:
            close = difflib.get_close_matches(plugin_id, [i.id for i in self.installed()], n=1)
            raise UnknownName(
                f"no plugin {plugin_id!r} is installed",
                remedy=f"did you mean '{close[0]}/{bare}'?" if close else f"pip install {plugin_id}",
            )
        if not infos[0].enabled:
            raise UnknownName(
                f"plugin {plugin_id!r} is switched off by {VARIABLE}",
                remedy="take it out of that list, or '--no-plugin' off the command line",
            )
        for spec in self._records(infos[0], kind):
            if _answers(spec, bare):
                return f"{prefix}{spec.name}", spec
        records = [(f"{prefix}{spec.name}", spec) for spec in self._records(infos[0], kind)]
        problem = self.load(infos[0]).problem
        known = ", ".join(spec.name for _, spec in records) or "none"
        suggestion = meant(bare, records) or f"known: {known}"
        raise UnknownName(
            f"plugin {plugin_id!r} provides no {_WORD[kind]} {bare!r}",
            remedy=f"it is broken, and might otherwise: {problem}" if problem else suggestion,
        )

    def _unknown(self, kind: type[S], name: str) -> UnknownName:
        records: list[tuple[str, S]] = self.all(kind)
        other = {StepSpec: StrategySpec, StrategySpec: StepSpec}.get(kind)
        remedy = meant(name, records, self.all(other) if other else ())
        remedy = remedy or f"known: {', '.join(qualified for qualified, _ in records) or 'none'}"
        broken = [info.id for info in self._enabled() if self.load(info).problem]
        if broken:
            remedy += f"; or a broken plugin provides it: {', '.join(broken)} (see 'decodery plugins doctor')"
        off = [info.id for info in self.installed() if not info.enabled]
        if off:
            remedy += f"; or one that is switched off: {', '.join(off)}"
        return UnknownName(f"unknown {_WORD[kind]} {name!r}", remedy=remedy)

    def _enabled(self) -> Iterator[PluginInfo]:
        return (info for info in self.installed() if info.enabled)

    def _records(self, info: PluginInfo, kind: type[S]) -> tuple[S, ...]:
        return self.load(info).records.get(_HOOK_OF[kind], ())  # type: ignore[return-value]


def _answers(spec: Spec, name: str) -> bool:
    return spec.name == name or name in getattr(spec, "aliases", ())
