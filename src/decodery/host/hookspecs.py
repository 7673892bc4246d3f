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
    """Processors and stop rules. A recipe names one: `- top_a: 0.2`"""


@hookspec
def provide_strategies() -> Sequence[StrategySpec]:  # type: ignore[empty-body]
    """Ways of choosing tokens and keeping branches. A recipe names one: `strategy: my_strategy`"""


@hookspec
def provide_adapters() -> Sequence[AdapterSpec]:  # type: ignore[empty-body]
    """Ways of driving a model. Tried by themselves, or named: `Decoder(model, adapter="my_adapter")`"""


@hookspec
def provide_models() -> Sequence[ModelSpec]:  # type: ignore[empty-body]
    """Models by name. The shell names one: `-m my_model`"""


@hookspec
def provide_kernels() -> Sequence[KernelSpec]:  # type: ignore[empty-body]
    """Fused backends. Nobody names one: the planner picks them."""


@hookspec
def provide_recipes() -> Sequence[RecipeSource]:  # type: ignore[empty-body]
    """Recipes by name. The shell names one: `-r my_recipe`"""


HOOKS: dict[str, type[Spec]] = {
    "provide_steps": StepSpec,
    "provide_strategies": StrategySpec,
    "provide_adapters": AdapterSpec,
    "provide_models": ModelSpec,
    "provide_kernels": KernelSpec,
    "provide_recipes": RecipeSource,
}
"""Hook name -> the record it returns a list of."""
