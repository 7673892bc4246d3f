"""The newest tokens as the host has read them: whoever shows them need not ask the device, and wait for it, again."""

from __future__ import annotations

from collections.abc import Sequence


class Said:
    """Of rows with so many tokens each, what comes from now on."""

    def __init__(self, lengths: Sequence[int]) -> None:
        self._begins = list(lengths)
        self._tokens: list[list[int]] = [[] for _ in lengths]

    def hear(self, rows: Sequence[int], tokens: Sequence[int]) -> None:
        """A token more in each of `rows`; `tokens` has one of every row."""
        for row in rows:
            self._tokens[row].append(tokens[row])

    def between(self, row: int, begin: int, end: int) -> list[int] | None:
        """Tokens [begin, end) of the row's text, None where some came before."""
        first = self._begins[row]
        return None if begin < first else self._tokens[row][begin - first : end - first]
