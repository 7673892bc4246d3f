"""A host that sees what it is given and nothing else that is installed."""

from __future__ import annotations

from collections import defaultdict

from ..contracts.specs import AdapterSpec, KernelSpec, ModelSpec, RecipeSource, Spec, StepSpec, StrategySpec
from ..host.hookspecs import HOOKS
from ..host.loader import LoadedPlugin, PluginInfo, discover
from ..host.registry import Host
from ..host.selection import normalise

OWN = "tried"
"""The plugin that records given by themselves belong to."""

_RECORDS = (AdapterSpec, KernelSpec, ModelSpec, RecipeSource, StepSpec, StrategySpec)


def isolated_host(*plugins: str | Spec) -> Host:
    """The box and these: ids of installed plugins ("acme-decode"), modules with hooks ("acme_decode.plugin"), or
    records, which are found as "tried/NAME".

    Whatever else is installed, and whatever DECODERY_PLUGINS says, makes no difference. Give it to
    `Pipeline(host=...)`, `Recipe.load(..., host=...)` or `Decoder(..., host=...)`.
    """
    installed = {info.id: info for info in discover(None)} if any(isinstance(p, str) for p in plugins) else {}
    infos = [_info(name, installed) for name in plugins if isinstance(name, str)]
    records = [record for record in plugins if isinstance(record, _RECORDS)]
    return Host("", plugins=infos, loaded=[_holding(records)] if records else [])


def _info(name: str, installed: dict[str, PluginInfo]) -> PluginInfo:
    known = installed.get(normalise(name)) or next((i for i in installed.values() if i.module == name), None)
    return known or PluginInfo(normalise(name.partition(".")[0]), "", name)


def _holding(records: list[Spec]) -> LoadedPlugin:
    by_hook: defaultdict[str, list[Spec]] = defaultdict(list)
    for record in records:
        by_hook[next(hook for hook, kind in HOOKS.items() if isinstance(record, kind))].append(record)
    info = PluginInfo(OWN, "", __name__)
    return LoadedPlugin(info, {hook: tuple(found) for hook, found in by_hook.items()})
