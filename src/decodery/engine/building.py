"""What a pipeline is built of: steps from names and objects, found again and written down."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from ..contracts.errors import InvalidInput, UnknownName
from ..contracts.params import accepted_names, first_field, non_default_values
from ..contracts.specs import StepSpec, StrategySpec
from ..contracts.steps import Step, StrategyUse, fill, lone_value
from ..host.registry import Host
from .steps.opaque import is_opaque, opaque_step

Role = Literal["processor", "stop"]


def made_step(
    host: Host, role: Role, step: Any, value: object, stateless: bool, params: dict[str, object]
) -> Step:
    """A step by its registered name, or from an object or class with Hugging Face's signature. Raises `UnknownName`,
    `InvalidParams`, `InvalidInput`."""
    if not isinstance(step, str):
        if step is None:
            raise InvalidInput(f"None is no {role}", remedy="give a registered name, or an object")
        if value is not None:
            raise InvalidInput(
                "a lone value belongs to a registered step",
                remedy="give a class its parameters by name: add(MyClass, strength=2)",
            )
        return opaque_step(step, role, params, stateless)
    qualified, spec = host.step(step)
    if spec.role != role:
        method = "stop" if spec.role == "stop" else "add"
        raise UnknownName(f"{step!r} is a {spec.role}, not a {role}", remedy=f"use .{method}({step!r}, ...)")
    values = params
    if value is not None:
        lone = lone_value(spec, value)
        for name, other in params.items():
            if accepted_names(spec.params).get(name) in lone:
                raise InvalidInput(
                    f"{step!r} is given {value!r} and {name}={other!r}, which are the same parameter",
                    remedy="give it once",
                )
        values = {**lone, **params}
    return Step(spec, fill(spec, values), qualified)


def place_of(steps: Sequence[Step], name: str) -> int:
    """Where the step of that name is: "top_k", or "top_k#2" where it occurs more than once. Raises `UnknownName`."""
    bare, _, number = name.partition("#")
    places = [
        i for i, step in enumerate(steps) if bare in (step.spec.name, step.qualified, *step.spec.aliases)
    ]
    if number.isdecimal() and 0 < int(number) <= len(places):
        return places[int(number) - 1]
    if len(places) == 1 and not number:
        return places[0]
    if places:
        numbered = ", ".join(f"{bare}#{i + 1}" for i in range(len(places)))
        raise UnknownName(f"{name!r} does not name one step: there are {numbered}", remedy="say which")
    have = ", ".join(step.spec.name for step in steps) or "none"
    raise UnknownName(f"the pipeline has no step {name!r}", remedy=f"its steps: {have}")


def written(use: Step | StrategyUse) -> str:
    """What `add`, `stop` or `with_strategy` must be given to make this again."""
    spec: StepSpec | StrategySpec = use.spec
    if is_opaque(use):
        factory: Any = spec.factory
        target = factory.target.__name__ if factory.is_class else repr(factory.target)
        seed = [f"seed={use.seed}"] if isinstance(use, StrategyUse) and use.seed is not None else []
        return ", ".join([target, *seed, *(f"{k}={v!r}" for k, v in factory.arguments.items())])
    values = non_default_values(use.params)
    lone = first_field(spec.params) if spec.params is not None and isinstance(use, Step) else None
    found = [repr(use.qualified or spec.name)]
    if lone is not None and values.get(lone) is not None:  # None alone would say that no value is given
        found.append(repr(values.pop(lone)))
    if isinstance(use, StrategyUse) and use.seed is not None:
        found.append(f"seed={use.seed}")
    return ", ".join([*found, *(f"{name}={value!r}" for name, value in values.items())])
