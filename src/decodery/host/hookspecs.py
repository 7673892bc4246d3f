"""The six hooks. Each returns records; none touches a registry.

from decodery import hookimpl
from decodery.contracts.specs import StepSpec

@hookimpl
def provide_steps():
    return [StepSpec(name="top_a", role="processor", factory="acme.top_a:TopA", params=TopAParams)]
"""

from __future__ import annotations

from collections.abc import Sequence

import pluggy

from ..contracts.specs import AdapterSpec, KernelSpec, ModelSpec, RecipeSource, Spec, StepSpec, StrategySpec

PROJECT = "decodery"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def provide_steps() -> Sequence[StepSpec]:  # type: ignore[empty-body]
    """Processors and stop rules."""


@hookspec
def provide_strategies() -> Sequence[StrategySpec]:  # type: ignore[empty-body]
    """Ways of choosing tokens and keeping branches."""


@hookspec
def provide_adapters() -> Sequence[AdapterSpec]:  # type: ignore[empty-body]
    """Ways of driving a model."""


@hookspec
def provide_models() -> Sequence[ModelSpec]:  # type: ignore[empty-body]
    """Models by name, for `-m NAME`."""


@hookspec
def provide_kernels() -> Sequence[KernelSpec]:  # type: ignore[empty-body]
    """Fused backends for the planner."""


@hookspec
def provide_recipes() -> Sequence[RecipeSource]:  # type: ignore[empty-body]
    """Recipes by name, for `-r NAME`."""


HOOKS: dict[str, type[Spec]] = {
    "provide_steps": StepSpec,
    "provide_strategies": StrategySpec,
    "provide_adapters": AdapterSpec,
    "provide_models": ModelSpec,
    "provide_kernels": KernelSpec,
    "provide_recipes": RecipeSource,
}
"""Hook name -> the record it returns a list of."""
