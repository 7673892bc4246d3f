"""`no-length-limit`: a list of stop rules that a model need never meet."""

from __future__ import annotations

from collections.abc import Sequence

from ..report import Problem, Problems
from ..syntax.nodes import MappingNode
from .chain import Link


def no_length_limit(stops: Sequence[Link], root: MappingNode, warnings: Problems) -> None:
    """A rule that limits the length says so in its record, by the reason that it finishes with."""
    entry = root.get("stop")
    if entry is None or any((link.spec.finish_reason or link.spec.name) == "length" for link in stops):
        return
    rules = ", ".join(link.name for link in stops)
    message = f"nothing limits the length: a row goes on until {rules} or the end of the model's context"
    remedy = "add 'max_new_tokens: 256' to the list"
    warnings.put(Problem.at(entry.key.span, "no-length-limit", message, remedy, "stop", "warning"))
