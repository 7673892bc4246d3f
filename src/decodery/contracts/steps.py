"""A step or strategy with its parameters filled in: what recipes and pipelines are made of."""

from __future__ import annotations

from dataclasses import dataclass

from .params import first_field, validate_params
from .specs import StepSpec, StrategySpec


@dataclass(frozen=True, slots=True)
class Step:
    """`params` is an instance of `spec.params`, or None where the spec has none.

    `qualified` is the name a recipe writes: "top_p", or "acme-decode/top_a" for a plugin's. "" marks an object that
    no plugin registered (it cannot be written to YAML).
    """

    spec: StepSpec
    params: object | None = None
    qualified: str = ""


@dataclass(frozen=True, slots=True)
class StrategyUse:
    """The same for a strategy; `seed` belongs to the run, not to the strategy's own parameters."""

    spec: StrategySpec
    params: object | None = None
    qualified: str = ""
    seed: int | None = None


def fill(spec: StepSpec | StrategySpec, values: dict[str, object]) -> object | None:
    """The params object for `values`. Raises `InvalidParams`."""
    return validate_params(spec.name, spec.params, values)


def lone_value(spec: StepSpec | StrategySpec, value: object) -> dict[str, object]:
    """`temperature: 0.7` -> {"temperature": 0.7}: a lone value sets the first parameter."""
    name = first_field(spec.params) if spec.params is not None else None
    return {name or "value": value}
