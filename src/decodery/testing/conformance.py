"""Which checks a spec gets, and running one."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..contracts.params import non_default_values
from ..contracts.specs import (
    AdapterSpec,
    KernelSpec,
    ModelSpec,
    RecipeSource,
    Spec,
    StepSpec,
    StrategySpec,
)
from ..contracts.steps import fill
from .case import Case
from .checks import ALL
from .checks.check import Check, Unmet
from .samples import rows
from .values import Values, sample_values

FOLLOWING = ("observe", "select", "rewind", "limit")
_WORD = {
    AdapterSpec: "adapter",
    KernelSpec: "kernel",
    ModelSpec: "model",
    RecipeSource: "recipe",
    StrategySpec: "strategy",
}


@dataclass(frozen=True, slots=True, repr=False)
class Conformance:
    """A check made ready for a spec: `conformance(spec)` runs it with each set of sample parameters.

    Raises `AssertionError` with a sentence that names the spec, the check and what to do.
    """

    check: Check
    samples: tuple[Values, ...]
    neutral: Values | None = None

    @property
    def name(self) -> str:
        return self.check.name

    def __call__(self, spec: Spec) -> None:
        for values in self.samples:
            self._run(spec, values)

    def __repr__(self) -> str:
        return self.name

    def _run(self, spec: Spec, values: Values) -> None:
        kind = spec.role if isinstance(spec, StepSpec) else _WORD[type(spec)]
        given = ", ".join(f"{name}={value!r}" for name, value in values.items())
        subject = f"{kind} {spec.name!r}" + (f" with {given}" if given else "")
        try:
            self.check.test(Case(spec, values, self.neutral))
        except Unmet as finding:
            message, cause = f"{subject} {finding}", None
        except (Exception, SystemExit) as error:
            message, cause = f"{subject} raised {type(error).__name__}: {error}", error
        else:
            return
        raise AssertionError(f"{message}\n  = check: {self.name}\n  = help: {self.check.remedy}") from cause


def checks_for(
    spec: Spec,
    *,
    samples: Values | Sequence[Values] | None = None,
    neutral: Values | None = None,
) -> list[Conformance]:
    """The checks that follow from the kind, the role, the traits and the methods of `spec`.

    `samples`: parameters to try, one set or several; derived from the params class when not given. `neutral`:
    parameters at which the step does nothing. A spec that cannot be built gets the checks of its declaration alone.
    For an adapter `samples` is `{"model": ..., "options": {...}}`, a model that it drives.
    """
    if not isinstance(spec, StepSpec | StrategySpec):
        given = samples if isinstance(samples, Mapping) else next(iter(samples or ()), {})
        have = _features_of_others(spec, given)
        return [Conformance(check, (given,)) for check in ALL if check.applies(have)]
    tried = sample_values(spec, samples)
    have = features(spec, tried, neutral)
    return [Conformance(check, tried, neutral) for check in ALL if check.applies(have)]


def _features_of_others(spec: Spec, given: Values) -> frozenset[str]:
    """Its kind; "code" and "by_string" as below; "opens" where there is a model to open sessions on."""
    found = {_WORD[type(spec)]}
    if not isinstance(spec, RecipeSource):
        found |= {"code"} | ({"by_string"} if isinstance(spec.factory, str) else set())
    if isinstance(spec, ModelSpec) or (isinstance(spec, AdapterSpec) and "model" in given):
        found |= {"opens"}
    return frozenset(found)


def features(
    spec: StepSpec | StrategySpec,
    samples: Sequence[Values] = ({},),
    neutral: Mapping[str, object] | None = None,
) -> frozenset[str]:
    """What `Check.when` and `Check.unless` speak of.

    Of every spec: "code", "used" since recipes name it, "by_string" where the factory is a string, "params" where it
    has some and the samples are valid, "written" where YAML can hold them.
    Of a step that can be built: "step" and its role, its traits, "rng" where it needs that, "lowering" where it has
    one, "observe", "select", "rewind", "limit" where it has the method, "neutral" where its neutral parameters are
    known. Of a strategy that can be built: "choose" or "decode", "draws_argmax" or another draw. Of both: "detector"
    where it has one.
    """
    found = {"code", "used"} | ({"by_string"} if isinstance(spec.factory, str) else set())
    # Whatever goes wrong in here, the check `builds` says it.
    try:
        filled = [fill(spec, dict(values)) for values in samples]
        found |= {"params"} if spec.params is not None else set()
        found |= {"written"} if _is_written(spec, filled) else set()
        made = [_made(spec, values) for values in samples]
    except (Exception, SystemExit):
        return frozenset(found)
    found |= {"detector"} if spec.detector is not None else set()
    if isinstance(spec, StrategySpec):
        method = next((m for m in ("choose", "decode") if all(hasattr(each, m) for each in made)), None)
        found |= {method, f"draws_{spec.draw}"} if method else set()
        return frozenset(found)
    if not all(map(callable, made)):
        return frozenset(found)
    found |= {"step", spec.role} | spec.traits | (spec.needs & {"rng"}) | ({"neutral"} if neutral else set())
    found |= {"lowering"} if spec.lowering is not None else set()
    return frozenset(
        found | {name for name in FOLLOWING if all(hasattr(instance, name) for instance in made)}
    )


def _is_written(spec: StepSpec | StrategySpec, filled: Sequence[object]) -> bool:
    """Whether JSON holds the parameters: a callable, say, is for code alone."""
    if spec.params is None:
        return True
    try:
        for params in filled:
            json.dumps(non_default_values(params))
    except (TypeError, ValueError):
        return False
    return True


def _made(spec: StepSpec | StrategySpec, values: Values) -> object:
    case, batch = Case(spec, values), rows("lm-like", 8, (3,), (3,))
    return case.bind(batch).instances[0] if isinstance(spec, StepSpec) else case.strategy(batch)
