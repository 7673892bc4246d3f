"""A pipeline plus the facts of one run gives fresh objects; all state lives in them."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ...contracts.errors import DecoderyError, InvalidInput, PluginError
from ...contracts.lowering import as_endings, as_lowered
from ...contracts.params import param_values
from ...contracts.specs import StepSpec, resolve
from ...contracts.steps import Step, StrategyUse
from .apply import BoundStep, Grouped, PerRow, way
from .facts import Facts
from .opaque import Opaque, knows_its_place

NO_MINIMUM_IN_HF = frozenset({"top_h"})
"""The one filter that transformers' beam sampling does not tell how many tokens to keep."""


def bind_steps(
    steps: Sequence[Step], facts: Facts, *, rectangle: bool, min_keep: int = 1, copy: bool = True
) -> list[BoundStep]:
    """Build the steps for the rows that `facts` describes.

    `rectangle` is transformers' own layout. `min_keep` is the strategy's: filters keep at least as many tokens.
    Without `copy` an unregistered object is used as it is, and its state is the caller's affair.
    Raises `PluginError` when a factory cannot be imported or refuses its arguments.
    """
    names = _distinct_names(steps)
    return [
        _bind(step, name, facts, rectangle, min_keep, copy) for step, name in zip(steps, names, strict=True)
    ]


def bind_strategy(use: StrategyUse, facts: Facts, roles: frozenset[str] = frozenset()) -> Any:
    """The strategy object: it has `choose` (per token) or `decode` (owns the loop). `roles` are the further models at
    hand. Raises `InvalidInput` when one that it needs is not among them."""
    missing = [role for role in use.spec.roles if role not in roles]
    if missing:
        raise InvalidInput(
            f"strategy {use.spec.name!r} needs a model for the role {missing[0]!r}",
            remedy=f"Decoder(model, recipe, models={{{missing[0]!r}: ...}}), or --role {missing[0]}=MODEL",
        )
    factory = resolve(use.spec.factory, f"strategy {(use.qualified or use.spec.name)!r}")
    return factory(**param_values(use.params), **facts.given(use.spec))


def owns_loop(use: StrategyUse) -> bool:
    """Whether the strategy has `decode` rather than `choose`."""
    return use.spec.draw == "custom" and not hasattr(
        resolve(use.spec.factory, f"strategy {(use.qualified or use.spec.name)!r}"), "choose"
    )


def strategy_min_keep(use: StrategyUse, facts: Facts) -> int:
    """The least number of tokens that filters must leave for this strategy."""
    least = use.spec.min_keep
    return 1 if least is None else least(facts) if callable(least) else least


def _bind(step: Step, name: str, facts: Facts, rectangle: bool, min_keep: int, copy: bool) -> BoundStep:
    spec = step.spec
    kind = way(spec.traits, spec.needs, rectangle)
    values = param_values(step.params)
    if "min_keep" in values and not (rectangle and step.qualified in NO_MINIMUM_IN_HF):
        values["min_keep"] = max(values["min_keep"], min_keep)  # type: ignore[call-overload]
    factory = resolve(spec.factory, f"step {name!r}")
    facts = facts.of_step(name)
    if isinstance(factory, Opaque) and not copy:
        instance = factory() if factory.is_class else factory.target
        _check_call(spec, name, instance, ragged=False)
        return kind(name, spec.role, [instance], trusted=False, stateless="stateless" in spec.traits)
    if kind in (PerRow, Grouped) and len(facts.prompt_lengths) > 1 and knows_its_place(step):
        raise InvalidInput(
            f"{name!r} looks rows up by their place in the batch, but here it is called on some rows at a time",
            remedy="use the step of the box that stands for it, compat('hf'), or one prompt a call",
        )
    rows = [facts.row(r) for r in range(len(facts.prompt_lengths))] if kind is PerRow else [facts]
    try:
        instances = [factory(**values, **row.given(spec)) for row in rows]
    except DecoderyError:
        raise
    except Exception as error:
        raise PluginError(
            f"step {name!r} cannot be built: {type(error).__name__}: {error}",
            remedy="its parameters, or the step itself, are at fault",
        ) from error
    trusted = step.qualified == spec.name
    if not trusted:  # those in the box are called in our tests
        _check_call(spec, name, instances[0], ragged="ragged" in spec.traits)
    reason = spec.finish_reason or spec.name
    return kind(
        name,
        spec.role,
        instances,
        trusted=trusted,
        stateless="stateless" in spec.traits,
        ids_only="ids_only" in spec.traits,
        traits=spec.traits,
        reason=reason,
        **_lowered(spec, name, step.params, values, facts),
    )


def _lowered(
    spec: StepSpec, name: str, params: object | None, values: Mapping[str, object], facts: Facts
) -> dict[str, Any]:
    """What the engine is told of the step: `lowered` of a processor, `endings` of a stop rule."""
    if spec.lowering is None:
        return {}
    if params is not None and values != param_values(params):
        params = replace(params, **values)  # type: ignore[type-var]
    lowering = resolve(spec.lowering, f"step {spec.name!r}")
    try:
        answer = lowering(params, facts)
        if spec.role == "stop":
            return {"endings": as_endings(answer, name)}
        return {"lowered": as_lowered(answer, name)}
    except DecoderyError:
        raise
    except Exception as error:
        raise PluginError(
            f"the lowering of {name!r} failed: {type(error).__name__}: {error}",
            remedy="return None for what it cannot describe",
        ) from error


def _check_call(spec: StepSpec, name: str, instance: Any, *, ragged: bool) -> None:
    """Whether the object can be called as it will be: looked into once, here, and not at every token."""
    try:
        signature = inspect.signature(instance)
    except (TypeError, ValueError):  # not a callable of Python's; the first call will tell
        return
    try:
        signature.bind(None, None, **({"lengths": None, "prompt_lengths": None} if ragged else {}))
    except TypeError as error:
        raise PluginError(
            f"{spec.role} {name!r} cannot be called with (input_ids, scores): {error}",
            remedy="take more from the constructor, or give further arguments a default",
        ) from None


def _distinct_names(steps: Sequence[Step]) -> list[str]:
    """ "top_p", or "top_p#1", "top_p#2" where a step occurs more than once."""
    plain = [step.qualified or step.spec.name for step in steps]
    return [
        name if plain.count(name) == 1 else f"{name}#{plain[: i + 1].count(name)}"
        for i, name in enumerate(plain)
    ]
