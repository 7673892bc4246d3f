"""A stop rule for texts that go round in a circle."""

from __future__ import annotations

import torch
from torch import Tensor

from ..rows.lengths import lengths_of


def loops(input_ids: Tensor, lengths: Tensor, prompt_lengths: Tensor, longest: int, times: int) -> Tensor:
    """Whether the newest tokens are one pattern of 1 to `longest` tokens, `times` times over.

    (R, T) int64, (R,) int64, (R,) int64 -> (R,) bool. Generated tokens count only.
    """
    found = torch.zeros_like(lengths, dtype=torch.bool)
    for period in range(1, longest + 1):
        span = period * times
        if span > input_ids.shape[1]:
            break
        back = torch.arange(-span, 0, device=input_ids.device)
        tail = input_ids.gather(1, (lengths[:, None] + back).clamp(min=0))  # (R, T) -> (R, span)
        same = (tail[:, period:] == tail[:, :-period]).all(dim=-1)
        found = found | (same & (lengths - prompt_lengths >= span))
    return found


class Loop:
    """Ends a row that repeats a pattern of 1 to `longest` tokens `times` times. vLLM's and exllamav3's loop
    detection."""

    def __init__(self, *, longest: int, times: int, prompt_lengths: Tensor) -> None:
        self.longest, self.times, self.prompt_lengths = longest, times, prompt_lengths

    def __call__(
        self,
        input_ids: Tensor,
        scores: Tensor,
        *,
        lengths: Tensor | None = None,
        prompt_lengths: Tensor | None = None,
    ) -> Tensor:
        """(R, T) int64, (R, V), (R,) int64, (R,) int64 -> (R,) bool."""
        prompt_lengths = self.prompt_lengths if prompt_lengths is None else prompt_lengths
        return loops(input_ids, lengths_of(input_ids, lengths), prompt_lengths, self.longest, self.times)
