"""Rows whose newest token was a doubtful choice."""

from __future__ import annotations

from torch import Tensor

from ..reference.rows import lengths_of, newest


class Confidence:
    """Ends a row when the probability of its newest token was below `threshold`; 0 never does.

    As ConfidenceCriteria of transformers, which looks at the first row and answers for all.
    """

    def __init__(self, *, threshold: float) -> None:
        self.threshold = threshold

    def __call__(
        self,
        input_ids: Tensor,
        scores: Tensor,
        *,
        lengths: Tensor | None = None,
        prompt_lengths: Tensor | None = None,
    ) -> Tensor:
        """(R, T) int64, (R, V) from which the newest token was chosen, (R,) int64, (R,) int64 -> (R,) bool."""
        newest_ids = newest(input_ids, lengths_of(input_ids, lengths), 1)  # (R, T) -> (R, 1)
        return scores.softmax(dim=-1).gather(-1, newest_ids).squeeze(-1) < self.threshold  # (R, 1) -> (R,)
