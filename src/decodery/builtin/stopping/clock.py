"""A limit on time."""

from __future__ import annotations

import time

import torch
from torch import Tensor


class MaxTime:
    """Ends every row once `max_time` seconds have passed since it was built, that is, since the run began."""

    def __init__(self, *, max_time: float) -> None:
        self.max_time = max_time
        self.start = time.monotonic()

    def __call__(
        self,
        input_ids: Tensor,
        scores: Tensor,
        *,
        lengths: Tensor | None = None,
        prompt_lengths: Tensor | None = None,
    ) -> Tensor:
        """(R, T) int64, (R, V), (R,) int64, (R,) int64 -> (R,) bool."""
        late = time.monotonic() - self.start > self.max_time
        return torch.full((input_ids.shape[0],), late, device=input_ids.device)

    # The clock is no row's: whatever happens to the rows, there is nothing to follow.

    def observe(self, tokens: Tensor, active: Tensor) -> None:
        """(R,) int64, (R,) bool."""

    def select(self, rows: Tensor) -> None:
        """(R',) int64."""

    def rewind(self, counts: Tensor) -> None:
        """(R,) int64."""
