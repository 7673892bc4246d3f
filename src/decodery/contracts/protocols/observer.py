"""Who watches a run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor


class Observer(Protocol):
    """Sees every step, changes nothing. `wants` says which of the methods are called; nothing is computed for an
    observer that is not there. Tensors are the engine's own: copy what you keep. `active` (R,) bool says which rows
    are generating in this step. An observer that keeps something a row may also have `on_select(rows (R',))` and
    `on_rewind(counts (R,))`, called when a strategy reorders rows or takes tokens back."""

    @property
    def wants(self) -> frozenset[str]:
        """A subset of {"tokens", "scores", "steps"}: `on_tokens`, `on_scores`, `on_step`."""
        ...


class TokenObserver(Protocol):
    def on_tokens(self, tokens: Tensor, active: Tensor, reasons: Sequence[str | None]) -> None:
        """(R,) int64, (R,) bool, and for each row why it finished, None while it goes on."""
        ...


class ScoreObserver(Protocol):
    def on_scores(self, raw: Tensor, processed: Tensor, active: Tensor) -> None:
        """(R, V) of the model, (R, V) of the recipe, (R,) bool."""
        ...


class StepObserver(Protocol):
    def on_step(self, name: str, before: Tensor, after: Tensor, active: Tensor) -> None:
        """One processor's work: (R, V) -> (R, V), (R,) bool."""
        ...
