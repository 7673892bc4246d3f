"""One step with one set of parameters, bound and called as the engine does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from ..contracts.specs import Spec, StepSpec, StrategySpec
from ..contracts.steps import Step, StrategyUse, fill
from ..engine.pipeline import Pipeline
from ..engine.steps.apply import BoundStep
from ..engine.steps.bind import bind_steps, bind_strategy
from .hosts import OWN, isolated_host
from .samples import Rows
from .values import Values


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a step's own object: its arguments before and after, by name, and what it returned."""

    before: Mapping[str, Tensor]
    after: Mapping[str, Tensor]
    result: Any


class Case:
    """A record with parameters. `neutral` are those at which a step does nothing, None when nobody said."""

    def __init__(self, spec: Spec, values: Values, neutral: Values | None = None) -> None:
        self.spec, self.values, self.neutral = spec, dict(values), neutral

    @cached_property
    def params(self) -> object | None:
        """The params object. Raises `InvalidParams` when the values are not the spec's."""
        return fill(self.spec, self.values) if isinstance(self.spec, StepSpec | StrategySpec) else None

    @property
    def traits(self) -> frozenset[str]:
        return self.spec.traits if isinstance(self.spec, StepSpec) else frozenset()

    def bind(self, rows: Rows, *, rectangle: bool = False, steps: Tensor | None = None) -> BoundStep:
        """The step built for these rows, through the engine's own bind."""
        if not isinstance(self.spec, StepSpec):
            raise TypeError(f"{self.spec.name!r} is no step")
        return bind_steps([Step(self.spec, self.params)], rows.facts(steps), rectangle=rectangle)[0]

    def answer(self, rows: Rows, bound: BoundStep | None = None) -> Tensor:
        """(R, V) scores of a processor, (R,) bool of a stop rule, from copies of the rows; freshly bound unless
        `bound` is given."""
        step = self.bind(rows) if bound is None else bound
        return step(rows.view(), rows.scores.clone())

    def watch(self, rows: Rows, inspect: Callable[[Call], None]) -> None:
        """Call the step and show `inspect` each call of its objects, before the engine mends any of it."""
        step = self.bind(rows)
        step.instances = [_watched(instance, inspect) for instance in step.instances]
        step(rows.view(), rows.scores.clone())

    def strategy(self, rows: Rows) -> Any:
        """The strategy object built for these rows."""
        if not isinstance(self.spec, StrategySpec):
            raise TypeError(f"{self.spec.name!r} is no strategy")
        return bind_strategy(StrategyUse(self.spec, self.params), rows.facts(), frozenset(self.spec.roles))

    @cached_property
    def pipeline(self) -> Pipeline:
        """A pipeline of this step or strategy alone, as a recipe in a world of its own would name it."""
        pipe = Pipeline(host=isolated_host(self.spec))
        name = f"{OWN}/{self.spec.name}"
        if isinstance(self.spec, StrategySpec):
            return pipe.with_strategy(name, seed=1, **self.values)
        is_stop = isinstance(self.spec, StepSpec) and self.spec.role == "stop"
        return pipe.stop(name, **self.values) if is_stop else pipe.add(name, **self.values)

    def choose(self, rows: Rows, scores: Tensor | None = None) -> Tensor:
        """(R,) int64: what a fresh strategy picks from a copy of the rows' scores, or from `scores` (R, V) itself."""
        scores = rows.scores.clone() if scores is None else scores
        return self.strategy(rows).choose(scores, rows.facts().rng)  # type: ignore[no-any-return]


def same(first: Tensor, second: Tensor) -> bool:
    """Equal up to the last places that another batch shape may round otherwise; bans and NaN at equal places."""
    if not first.is_floating_point():
        return torch.equal(first, second)
    return torch.allclose(first, second, rtol=1e-5, atol=1e-6, equal_nan=True)


def unlike(first: Tensor, second: Tensor) -> int | None:
    """The first row in which (R, ...) answers differ."""
    if same(first, second):
        return None
    return next((row for row in range(len(first)) if not same(first[row], second[row])), None)


def _watched(instance: Callable[..., Any], inspect: Callable[[Call], None]) -> Callable[..., Any]:
    def call(input_ids: Tensor, scores: Tensor, **facts: Tensor) -> Any:
        after = {"input_ids": input_ids, "scores": scores, **facts}
        before = {name: value.clone() for name, value in after.items()}
        result = instance(input_ids, scores, **facts)
        inspect(Call(before, after, result))
        return result

    return call
