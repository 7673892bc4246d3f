"""What a backend is: the fused twins of a run of steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from ..contracts.lowering import Map, Truncation
from .candidates import Candidates

Chain = Sequence[Map | Truncation]


class Backend(Protocol):
    """What a `KernelSpec`'s factory returns. `truncate` and `draw_row`, `draw_torch` are all that is asked; `edit` and
    `argmax` may be left out, shared torch code stands in.

    Everything of a row is a value of its own, nothing is kept between calls.
    """

    @property
    def name(self) -> str: ...

    @property
    def devices(self) -> frozenset[str]:
        """The types of device that it runs on."""
        ...

    def refuses(self, chain: Chain) -> str:
        """Why this backend cannot run such a chain; "" if it can."""
        ...

    def truncate(self, scores: Tensor, chain: Chain, window: int) -> Candidates:
        """(R, V) float32 (or what the model gave, where `half` says so), contiguous; the chain begins with maps and a
        truncation. `window` is how many candidates a row to begin with."""
        ...

    def draw_row(self, found: Candidates, uniform: Tensor) -> tuple[Tensor, Tensor]:
        """(R,) float64 -> tokens (R,) int64, flags (R,) bool."""
        ...

    def draw_torch(
        self, found: Candidates, vocab: int, generator: torch.Generator | None
    ) -> tuple[Tensor, Tensor]:
        """torch.multinomial's draw; the generator advances by R x V draws."""
        ...

    # def edit(self, scores: Tensor, ids: Tensor, values: Tensor, mode: Mode) -> None: in place, as `edits.edit`
    # def argmax(self, scores: Tensor) -> Tensor: (R, V) -> (R,), the smallest id among equals


def argmax(scores: Tensor) -> Tensor:
    """The smallest id among the best: (R, V) float32 -> (R,) int64. Block maxima first, which is several times faster
    than `Tensor.argmax` on a CPU. A NaN wins, as there."""
    rows, vocab = scores.shape
    block = 64
    blocks = vocab // block
    if blocks < 4 or vocab % block or not scores.is_contiguous():
        return scores.argmax(-1)
    body = scores.view(rows, blocks, block)  # (R, V) -> (R, N, b)
    place = body.amax(-1).argmax(-1)  # (R, N, b) -> (R, N) -> (R,)
    inside = body[torch.arange(rows, device=scores.device), place].argmax(-1)  # (R, b) -> (R,)
    return place * block + inside
