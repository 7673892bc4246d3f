"""Asking the host for names that a stranger wrote."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

from ..contracts.errors import UnknownName
from ..contracts.specs import StepSpec, StrategySpec
from ..host.registry import Host
from ..host.selection import normalise
from .report import MAX_PROBLEMS

S = TypeVar("S", StepSpec, StrategySpec)
Lookup = Callable[[str], tuple[str, S]]

QUALIFIED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z_][A-Za-z0-9_-]*\Z")
_RUN_TOGETHER = re.compile(r"([A-Za-z][A-Za-z0-9_/.-]*?)\s*[:=\s]\s*(\S.*)\Z")
_LONGEST = 100


class AlreadyTold(UnknownName):
    """A name of a plugin that is known, and has been reported, to be missing."""


class Names:
    """The host's answers, remembered: a wrong name is dear to look up, and may come ten thousand times.

    `absent` has the plugins that `requires` asked for in vain, by their normalised names.
    """

    def __init__(self, host: Host) -> None:
        self._host = host
        self._answers: dict[tuple[str, str], tuple[str, Any] | UnknownName] = {}
        self._unknown = 0
        self.absent: set[str] = set()

    def step(self, name: str) -> tuple[str, StepSpec]:
        """(qualified name, spec). Raises `UnknownName`."""
        return self._ask("step", self._host.step, name)

    def strategy(self, name: str) -> tuple[str, StrategySpec]:
        """(qualified name, spec). Raises `UnknownName`."""
        return self._ask("strategy", self._host.strategy, name)

    def _ask(self, kind: str, lookup: Lookup[S], name: str) -> tuple[str, S]:
        answer = self._answers.get((kind, name))
        if answer is None:
            try:
                answer = lookup(self._worth_asking(kind, name))
            except UnknownName as error:
                self._unknown += 1
                answer = error
            self._answers[kind, name] = answer
        if isinstance(answer, UnknownName):
            raise answer
        return answer

    def _worth_asking(self, kind: str, name: str) -> str:
        # The host's remedy for an unknown plugin is a line for the shell: only sane names get that far.
        if len(name) > _LONGEST or ("/" in name and not QUALIFIED.match(name)):
            raise UnknownName(
                f"{name[:_LONGEST]!r} is no {kind}'s name",
                remedy=f"names are like 'top_p' or, for a plugin's {kind}, 'acme-decode/top_a'",
            )
        if normalise(name.rpartition("/")[0]) in self.absent:
            raise AlreadyTold(f"unknown {kind} {name!r}")
        if self._unknown >= MAX_PROBLEMS:
            raise UnknownName(f"unknown {kind} {name!r}")
        return name


def colon_missing(text: str, lookup: Lookup[S]) -> str:
    """The remedy for `temperature:0.7` and `temperature 0.7`; "" when `text` is no such slip."""
    match = _RUN_TOGETHER.match(text[:_LONGEST])
    if not match:
        return ""
    try:
        lookup(match[1])
    except UnknownName:
        return ""
    return f"write '{match[1]}: {match[2]}', with a colon and a space"
