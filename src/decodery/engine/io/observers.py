"""Which observers asked for what, and telling them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

from ...contracts.errors import InvalidInput
from ...contracts.protocols import Observer, ScoreObserver, StepObserver, TokenObserver

_WISHES = {"tokens": "on_tokens", "scores": "on_scores", "steps": "on_step"}
Mask = Callable[[], Tensor]
"""Makes the (R,) bool mask of the rows that generate; nothing is made where nobody asked."""


class Watchers:
    """The observers of one run. Nothing is computed for one that is not there."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._all = observers
        self._tokens: list[TokenObserver] = who_want(observers, "tokens")
        self._scores: list[ScoreObserver] = who_want(observers, "scores")
        self._steps: list[StepObserver] = who_want(observers, "steps")

    @property
    def want_tokens(self) -> bool:
        return bool(self._tokens)

    @property
    def want_scores(self) -> bool:
        return bool(self._scores)

    @property
    def want_steps(self) -> bool:
        return bool(self._steps)

    def tokens(self, tokens: Tensor, mask: Mask, reasons: Sequence[str | None]) -> None:
        """(R,) int64, and why each row finished."""
        for observer in self._tokens:
            observer.on_tokens(tokens, mask(), reasons)

    def scores(self, raw: Tensor, processed: Tensor, mask: Mask) -> None:
        """(R, V) of the model, (R, V) of the recipe."""
        for observer in self._scores:
            observer.on_scores(raw, processed, mask())

    def step_teller(self, mask: Mask) -> Callable[[str, Tensor, Tensor], None] | None:
        """Tells of one processor's work: its name, (R, V) before, (R, V) after."""
        if not self._steps:
            return None

        def tell(name: str, before: Tensor, after: Tensor) -> None:
            for observer in self._steps:
                observer.on_step(name, before, after, mask())

        return tell

    def select(self, rows: Tensor) -> None:
        """(R',) int64."""
        for observer in self._all:
            if hasattr(observer, "on_select"):
                observer.on_select(rows)

    def rewind(self, counts: Tensor) -> None:
        """(R,) int64."""
        for observer in self._all:
            if hasattr(observer, "on_rewind"):
                observer.on_rewind(counts)


def who_want(observers: Sequence[Observer], wish: str) -> list[Any]:
    """The observers that asked for `wish`. Raises `InvalidInput` for one that asks and cannot be told."""
    asking = []
    for observer in observers:
        wants: Any = getattr(observer, "wants", None)
        unknown = sorted(set(wants) - set(_WISHES)) if isinstance(wants, (set, frozenset)) else [wants]
        if unknown:
            raise InvalidInput(
                f"observer {type(observer).__name__} wants {unknown[0]!r}",
                remedy=f"'wants' is a set of: {', '.join(_WISHES)}",
            )
        if wish in wants:
            if not hasattr(observer, _WISHES[wish]):
                raise InvalidInput(
                    f"observer {type(observer).__name__} wants {wish!r} and has no {_WISHES[wish]}()",
                    remedy="give it one",
                )
            asking.append(observer)
    return asking
