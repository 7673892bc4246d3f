"""Candidate sets: the best few tokens of each row, on which everything after the first truncation happens."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

SLACK = 14
"""Room beyond k for tokens that tie with the k-th."""


@dataclass(slots=True)
class Candidates:
    """The candidates of every row as one value.

    values   (R, K) float32, descending; -inf is banned, or no candidate at all
    ids      (R, K) int64
    unsure   (R, K) bool: rounding could decide whether the token stays; None where there is no such token
    flagged  (R,) bool: the reference must decide the row
    whole    every token that is not banned is among the candidates
    log_mass (R,) float64: log of the sum of exp(score - best) over the whole row, only where a step needs it
    loose    a map may have rounded the values otherwise than the step itself would
    outgrown (R,) bool: more tokens stay than there are candidates; None where that cannot be
    """

    values: Tensor
    ids: Tensor
    unsure: Tensor | None
    flagged: Tensor
    whole: bool
    log_mass: Tensor | None = None
    loose: bool = False
    outgrown: Tensor | None = None

    @property
    def count(self) -> Tensor:
        """(R,) int64: candidates that are not banned."""
        return (self.values > -torch.inf).sum(-1)  # (R, K) -> (R,)

    def weights(self) -> Tensor:
        """(R, K) float64, exp(score - best). The difference is taken in the dtype of the scores, as softmax does."""
        return (self.values - self.values[:, :1]).double().exp_()

    def ban(self, banned: Tensor) -> None:
        """(R, K) bool."""
        self.values = self.values.masked_fill(banned, -torch.inf)
        if self.unsure is not None:
            self.unsure = self.unsure & ~banned

    def close(self) -> None:
        """After the first truncation every token that is left must be here: a row whose last candidate is left too is
        flagged."""
        if not self.whole:
            self.outgrown = self.values[:, -1] > -torch.inf
            self.flagged = self.flagged | self.outgrown
            self.whole = True

    def reorder(self) -> None:
        """Make the values descend again after bans in their midst."""
        self.values, order = self.values.sort(dim=-1, descending=True, stable=True)
        self.ids = self.ids.gather(-1, order)
        self.unsure = None if self.unsure is None else self.unsure.gather(-1, order)


def best_of(scores: Tensor, window: int) -> Candidates:
    """The `window` best tokens of each row: (R, V) float32, contiguous -> (R, K) with K = min(window, V).

    Block maxima first: the best K tokens lie in the K blocks with the greatest maxima, so that only those are sorted.
    A NaN anywhere in a row comes out as its first value.
    """
    rows, vocab = scores.shape
    block = 64 if window <= 128 else 32
    blocks = vocab // block
    flagged = torch.zeros(rows, dtype=torch.bool, device=scores.device)
    if window >= vocab or blocks < 2 * window:
        values, ids = scores.topk(min(window, vocab), dim=-1)  # (R, V) -> (R, K)
        return Candidates(values, ids, None, flagged, whole=window >= vocab)
    whole = vocab == blocks * block
    cropped = scores if whole else scores[:, : blocks * block]
    body = torch.unflatten(cropped, 1, (blocks, block))  # (R, V) -> (R, N, b)
    chosen = body.amax(-1).topk(window, dim=-1).indices  # (R, N, b) -> (R, N) -> (R, K)
    if rows == 1:
        inside = body[0].index_select(0, chosen[0])  # (N, b) -> (K, b)
    elif whole:
        first = torch.arange(0, rows * blocks, blocks, device=scores.device).unsqueeze(1)  # (R,) -> (R, 1)
        inside = scores.view(rows * blocks, block).index_select(0, (chosen + first).view(-1))
    else:
        inside = torch.cat([row.index_select(0, places) for row, places in zip(body, chosen, strict=True)])
    inside = inside.view(rows, -1)  # (R x K, b) -> (R, K x b)
    if not whole:
        inside = torch.cat((inside, scores[:, blocks * block :]), dim=1)  # the tail belongs to no block
    values, places = inside.topk(window, dim=-1)  # -> (R, K)
    if whole:
        ids = chosen.gather(-1, places // block).mul_(block).add_(places % block)
    else:
        in_body = places < window * block
        ids = chosen.gather(-1, (places // block).clamp_(max=window - 1)) * block + places % block
        ids = torch.where(in_body, ids, places - window * block + blocks * block)
    return Candidates(values, ids, None, flagged, whole=False)
