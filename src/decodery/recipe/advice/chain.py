"""A recipe's steps with what is needed to judge them: their place in the text, their values, their kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...contracts.params import param_values
from ...contracts.specs import StepSpec
from ...contracts.steps import Step
from ..codes import Code
from ..report import Problem, Problems, Span
from ..steps import Use
from .facts import ANYTHING, FAMILIES, NEUTRAL, Family


@dataclass(frozen=True, slots=True)
class Link:
    """One step of a list. `value` is its first parameter."""

    name: str
    spec: StepSpec
    values: dict[str, object]
    span: Span
    path: str

    @property
    def value(self) -> object:
        return next(iter(self.values.values()), None)

    @property
    def family(self) -> Family:
        """What the step does to a row; a stranger's is taken from its traits."""
        known = FAMILIES.get(self.spec.name)
        if known is not None:
            return known
        return "history" if "reads_history" in self.spec.traits else "unknown"

    @property
    def is_neutral(self) -> bool:
        """These parameters change nothing."""
        return NEUTRAL.get(self.spec.name, ANYTHING) == self.value

    @property
    def keeps_a_best_token(self) -> bool:
        # top_p may drop all but one of several best tokens with equal scores, and so has not the trait.
        return "argmax_invariant" in self.spec.traits or self.spec.name == "top_p"

    @property
    def label(self) -> str:
        """`top_k: 40`, where the first parameter is a number."""
        value = self.value
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return f"{self.name}: {value}" if is_number else self.name

    def warn(self, warnings: Problems, code: Code, message: str, remedy: str) -> None:
        warnings.put(Problem.at(self.span, code, message, remedy, self.path, "warning"))


def chain_of(steps: Sequence[Step], uses: Sequence[Use[StepSpec]], key: str) -> list[Link]:
    """The links of one list."""
    return [
        Link(use.name.text, step.spec, param_values(step.params), use.name.span, f"{key}[{index}]")
        for index, (step, use) in enumerate(zip(steps, uses, strict=True))
    ]
