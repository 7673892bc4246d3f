"""What a check is: a claim about a step, when it applies, and what to do when it does not hold."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ..case import Case


class Unmet(Exception):
    """A claim that does not hold, in words that complete "top_k ..."."""


def require(holds: bool, otherwise: str) -> None:
    """Raises `Unmet` saying what was found."""
    if not holds:
        raise Unmet(otherwise)


@dataclass(frozen=True, slots=True)
class Check:
    """`test(case)` raises `Unmet`, or whatever the step raises. Applies to what has all the features in `when` and
    none of those in `unless`; `conformance.features` lists them. `remedy` tells the author what to do."""

    name: str
    test: Callable[[Case], None]
    when: frozenset[str]
    unless: frozenset[str]
    remedy: str

    def applies(self, features: Iterable[str]) -> bool:
        have = frozenset(features)
        return self.when <= have and not self.unless & have


def check(*when: str, unless: Iterable[str] = (), remedy: str) -> Callable[[Callable[[Case], None]], Check]:
    """Make a function a `Check` of its own name."""

    def make(test: Callable[[Case], None]) -> Check:
        return Check(test.__name__, test, frozenset(when), frozenset(unless), remedy)

    return make
