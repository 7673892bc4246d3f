"""A name and values -> a step or strategy with its parameters, or why not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ....contracts.errors import AmbiguousName, InvalidParams, ParamProblem, UnknownName
from ....contracts.params import accepted_names, first_field
from ....contracts.specs import StepSpec, StrategySpec
from ....contracts.steps import fill

SAMPLERS = "decodery-samplers"
SAMPLERS_STEPS = frozenset(
    (
        "top_n_sigma",
        "top_a",
        "tail_free",
        "p_less",
        "p_step",
        "xtc",
        "dynamic_temperature",
        "quadratic",
        "skew",
        "adaptive_p",
        "mirostat",
        "top_p_decay",
        "presence_penalty",
        "frequency_penalty",
        "dry",
        "logit_bias",
        "allowed_tokens",
        "banned_tokens",
        "infill",
        "thinking_budget",
        "stop_regex",
    )
)
"""What the plugin of that name brings: for the remedy, where it is not installed."""


@dataclass(frozen=True, slots=True)
class Made:
    """`qualified` is the name that a recipe writes."""

    qualified: str
    spec: Any
    params: object | None


class NotHere(Exception):
    """Nobody provides the name, or who does means something else by it; the message says what to do."""


class BadValues(Exception):
    """Values that the parameters do not take: pairs of the parameter, as the caller calls it, and the problem."""

    def __init__(self, problems: list[tuple[str, ParamProblem]]) -> None:
        super().__init__()
        self.problems = problems


def make(name: str, values: Mapping[str, Any], lookup: Callable[[str], tuple[str, Any]], kind: str) -> Made:
    """`values` may use any accepted name of a parameter; the first is the first parameter whatever its name.

    Raises `NotHere`, `BadValues`.
    """
    qualified, spec = _found(name, lookup, kind)
    fields = {field_of(spec, param, index): param for index, param in enumerate(values)}
    try:
        return Made(qualified, spec, fill(spec, {field: values[param] for field, param in fields.items()}))
    except InvalidParams as error:
        if any(problem.message.startswith(("no parameter", "takes no")) for problem in error.problems):
            raise NotHere(f"{kind} {qualified!r} has other parameters: {error.problems[0].message}") from None
        raise BadValues(
            [(fields.get(field := found.path.partition(".")[0], field), found) for found in error.problems]
        ) from None


def _found(name: str, lookup: Callable[[str], tuple[str, Any]], kind: str) -> tuple[str, Any]:
    try:
        return lookup(name)
    except AmbiguousName:
        return lookup(f"{SAMPLERS}/{name}")
    except UnknownName:
        plugin = f"pip install {SAMPLERS}" if name in SAMPLERS_STEPS else "a newer decodery may have it"
        raise NotHere(f"no {kind} {name!r} is installed: {plugin}") from None


def field_of(spec: StepSpec | StrategySpec, param: str, index: int = 1) -> str:
    """The field of `spec` that answers to `param`; a first parameter may have any name."""
    names = accepted_names(spec.params)
    if param not in names and index == 0 and spec.params is not None:
        return first_field(spec.params) or param
    return names.get(param, param)
