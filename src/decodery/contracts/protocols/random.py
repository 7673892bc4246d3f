"""Where random numbers come from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor


class Rng(Protocol):
    """The random numbers of the rows at hand. A draw in one row never depends on another row."""

    def uniform(self, purpose: str = "draw", ahead: int = 0) -> Tensor:
        """(R,) float64 in [0, 1). `purpose` names the consumer, so that consumers do not share numbers; `ahead`
        counts tokens beyond the last accepted one."""
        ...

    def categorical(self, scores: Tensor, purpose: str = "draw", ahead: int = 0) -> Tensor:
        """(R, V) -> (R,) int64: one draw a row from softmax(scores)."""
        ...


class RunRng(Rng, Protocol):
    """The random numbers of a whole run: they follow its rows."""

    def select(self, rows: Tensor, copies: Tensor, steps: Tensor) -> None:
        """(R',) int64 each. `copies` counts earlier copies of the same row, which go on with numbers of their own;
        `steps` counts the generated tokens of the new rows."""
        ...

    def without_replacement(self, scores: Tensor, count: int, rows: Tensor) -> Tensor:
        """(G, C) -> (G, count) int64: different draws from softmax(scores), in the order drawn. Group g uses the
        numbers of row `rows[g]`, (G,) int64."""
        ...

    def of_role(self, role: str, steps: Tensor) -> RunRng:
        """The numbers of another model's run beside these rows, whose generated tokens `steps` (R,) int64 counts."""
        ...
