"""Every exception a user can meet.

Each says where it happened, which value was wrong and what to do about it. The command line prints them
without a traceback; library users catch `DecoderyError`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class DecoderyError(Exception):
    """Base of all errors.

    `message` states place and value in one sentence; `remedy`, if any, says what to do. `str()` joins them.
    """

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message}\n  = help: {self.remedy}" if self.remedy else self.message


@dataclass(frozen=True, slots=True)
class ParamProblem:
    """One mistake in one parameter: `path` leads to it below the step ("penalty", "ids.3"; "" is the step itself)."""

    path: str
    message: str
    remedy: str = ""


class InvalidParams(DecoderyError, ValueError):
    """Parameters outside their bounds, of the wrong type, unknown or missing; all mistakes of one step at once."""

    def __init__(self, owner: str, problems: Sequence[ParamProblem]) -> None:
        self.owner = owner
        self.problems = tuple(problems)
        lines = [f"{owner}: {p.message}" for p in problems]
        super().__init__("\n".join(lines), remedy="; ".join(p.remedy for p in problems if p.remedy))


class InvalidInput(DecoderyError, ValueError):
    """A prompt, tensor, seed or argument that cannot be used as it is."""


class UnknownName(DecoderyError, LookupError):
    """A step, strategy, adapter, model or recipe that no plugin provides."""


class AmbiguousName(UnknownName):
    """A bare name that several plugins provide; the remedy lists the qualified names."""


class RecipeError(DecoderyError, ValueError):
    """A recipe with mistakes. `report` is the located text, `problems` the same as data."""

    def __init__(self, report: str, problems: Sequence[object] = ()) -> None:
        super().__init__(report)
        self.problems = tuple(problems)


class PluginError(DecoderyError):
    """A plugin that is broken, or that lacks what the recipe asks of it."""


class Unavailable(DecoderyError):
    """A step, model or adapter whose library is missing or too old; the remedy is the pip line."""


class NeedsBind(DecoderyError, TypeError):
    """A pipeline called unbound although a step keeps state or needs facts (eos, prompt lengths ...)."""


class NotSerializable(DecoderyError, TypeError):
    """A pipeline with a step or value that YAML cannot hold."""


class CannotFollow(DecoderyError, TypeError):
    """A processor that cannot follow reordered, repeated or rewound rows under a strategy that needs it."""


class ModelError(DecoderyError):
    """A model that no adapter can drive, or that answers with something that is not logits."""


class BadRow(DecoderyError, ArithmeticError):
    """A row whose scores are NaN, infinite or all banned.

    `row` is its index in the call, `step` the number of tokens it had generated, `processor` the name of the step
    that made it ("model" when the logits arrived like that; "a or b" when only they can have, because they keep state).
    """

    def __init__(self, row: int, step: int, processor: str, what: str, *, remedy: str = "") -> None:
        self.row, self.step, self.processor, self.what = row, step, processor, what
        super().__init__(
            f"row {row}, step {step}: {what} after {processor!r}",
            remedy=remedy
            or "mend that step or the model; with 'on_bad_row: stop_row' the row ends alone and the others go on",
        )
