"""Which checks a spec gets, and running one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..contracts.specs import StepSpec, StrategySpec
from ..contracts.steps import fill
from .case import Case
from .checks import ALL
from .checks.check import Check, Unmet
from .samples import rows
from .values import Values, sample_values

FOLLOWING = ("observe", "select", "rewind", "limit")


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

    def __call__(self, spec: StepSpec | StrategySpec) -> None:
        for values in self.samples:
            self._run(spec, values)

    def __repr__(self) -> str:
        return self.name

    def _run(self, spec: StepSpec | StrategySpec, values: Values) -> None:
        kind = spec.role if isinstance(spec, StepSpec) else "strategy"
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
    spec: StepSpec | StrategySpec,
    *,
    samples: Values | Sequence[Values] | None = None,
    neutral: Values | None = None,
) -> list[Conformance]:
    """The checks that follow from the role, the traits and the methods of `spec`.

    `samples`: parameters to try, one set or several; derived from the params class when not given. `neutral`:
    parameters at which the step does nothing. A spec that cannot be built gets the checks of its declaration alone.
    """
    tried = sample_values(spec, samples)
    have = features(spec, tried, neutral)
    return [Conformance(check, tried, neutral) for check in ALL if check.applies(have)]


def features(
    spec: StepSpec | StrategySpec,
    samples: Sequence[Values] = ({},),
    neutral: Mapping[str, object] | None = None,
) -> frozenset[str]:
    """What `Check.when` and `Check.unless` speak of.

    Of every spec: "by_string" where the factory is a string, "params" where it has some and the samples are valid.
    Of a step that can be built: "step" and its role, its traits, "rng" where it needs that, "observe", "select",
    "rewind", "limit" where it has the method, "neutral" where its neutral parameters are known. Of a per-token
    strategy that can be built: "choose", and "draws_argmax" or another draw.
    """
    found = {"by_string"} if isinstance(spec.factory, str) else set()
    # Whatever goes wrong in here, the check `builds` says it.
    try:
        for values in samples:
            fill(spec, dict(values))
        found |= {"params"} if spec.params is not None else set()
        made = [_made(spec, values) for values in samples]
    except (Exception, SystemExit):
        return frozenset(found)
    if isinstance(spec, StrategySpec):
        chooses = all(hasattr(instance, "choose") for instance in made)
        return frozenset(found | ({"choose", f"draws_{spec.draw}"} if chooses else set()))
    if not all(map(callable, made)):
        return frozenset(found)
    found |= {"step", spec.role} | spec.traits | (spec.needs & {"rng"}) | ({"neutral"} if neutral else set())
    return frozenset(
        found | {name for name in FOLLOWING if all(hasattr(instance, name) for instance in made)}
    )


def _made(spec: StepSpec | StrategySpec, values: Values) -> object:
    case, batch = Case(spec, values), rows("lm-like", 8, (3,), (3,))
    return case.bind(batch).instances[0] if isinstance(spec, StepSpec) else case.strategy(batch)
