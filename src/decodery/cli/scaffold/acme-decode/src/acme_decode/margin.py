"""A processor: scores in, scores out."""

from math import inf

from torch import Tensor


def within_margin(scores: Tensor, margin: float) -> Tensor:
    """(R, V) float -> (R, V): tokens more than `margin` below the best one of their row are banned (-inf)."""
    best = scores.amax(dim=-1, keepdim=True)  # (R, V) -> (R, 1)
    return scores.masked_fill(scores < best - margin, -inf)


class Margin:
    """Built for each run with the fields of `MarginParams`; called once a token."""

    def __init__(self, *, margin: float) -> None:
        self.margin = margin

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """(R, T) int64, (R, V) float -> (R, V). A new tensor; `scores` stays as it was."""
        return within_margin(scores, self.margin)
