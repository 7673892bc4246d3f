"""How many candidates a fused step begins with."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ...contracts.lowering import Map, Truncation
from ...kernels.candidates import SLACK

FIRST, WIDEST = 512, 2048
PAUSE = 32
"""After rows too flat for the widest window, so many steps go to the dense path at once."""


class Windows:
    """A top-k says how many; for other cuts the rows of the last steps do."""

    def __init__(self, chain: Sequence[Map | Truncation]) -> None:
        first = next((part for part in chain if isinstance(part, Truncation)), None)
        self._width = None if first is None else _width(first)
        self._window = FIRST
        self.pause = 0
        """So many steps more belong to the dense path."""

    def next(self, vocab: int) -> int | None:
        """How many candidates to begin with; None for the dense path."""
        if self._width is not None:
            return self._width if 4 * self._width <= vocab or vocab <= self._width else min(vocab, 4096)
        if self.pause:
            self.pause -= 1
            return None
        return min(self._window, vocab)

    def remember(self, outgrown: Tensor | None) -> None:
        """(R,) bool. Rows that outgrew the window widen the next one; where that has an end, the dense path is left
        alone for a while."""
        if self._width is not None or outgrown is None or not bool(outgrown.any()):
            return
        if self._window < WIDEST:
            self._window *= 4
        else:
            self._window, self.pause = FIRST, PAUSE


def _width(rule: Truncation) -> int | None:
    """The window of a top-k: k and room for ties. None where the row says how wide it must be."""
    if rule.kind != "k":
        return None
    k = int(rule.value.max()) if isinstance(rule.value, torch.Tensor) else int(rule.value)
    return (max(k, rule.min_keep) + SLACK + 7) // 8 * 8
