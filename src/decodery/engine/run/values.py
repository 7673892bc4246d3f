"""Scores of the rows at hand, which follow the rows when they are looked at."""

from __future__ import annotations

from torch import Tensor


class Values:
    """(R, V), or nothing. What `select` makes of them is worked out when they are asked for: a beam search moves its
    rows at every token and looks at none of the old scores again."""

    def __init__(self) -> None:
        self._values: Tensor | None = None
        self._rows: Tensor | None = None

    @property
    def known(self) -> bool:
        return self._values is not None

    def get(self) -> Tensor | None:
        """(R, V); None where nothing is known."""
        if self._values is not None and self._rows is not None:
            self.set(self._values.index_select(0, self._rows))  # (R, V) -> (R', V)
        return self._values

    def set(self, values: Tensor | None) -> None:
        self._values, self._rows = values, None

    def select(self, rows: Tensor) -> None:
        """(R',) int64."""
        if self._values is not None:
            self._rows = rows if self._rows is None else self._rows[rows]
