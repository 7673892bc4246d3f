"""Truncation by rank and by probability: top-k, top-p and min-p."""

from __future__ import annotations

from math import inf
from typing import Literal

import torch
from torch import Tensor


def below_top(scores: Tensor, count: int) -> Tensor:
    """What is smaller than the row's `count`-th greatest score: (B, V) float -> (B, V) bool."""
    return scores < scores.topk(min(count, scores.shape[-1])).values[..., -1:]


def top_k(scores: Tensor, k: int, min_keep: int = 1, ties: Literal["keep", "cut"] = "keep") -> Tensor:
    """Ban all but the `k` best of a row, or `min_keep` if that is more: (B, V) float -> (B, V), same dtype.

    Scores that tie with the k-th all stay, as in Hugging Face's class; `cut` keeps exactly k, small ids
    first. Fan, Lewis and Dauphin (2018), https://arxiv.org/abs/1805.04833.
    """
    k = max(k, min_keep)
    if ties == "keep":
        return scores.masked_fill(below_top(scores, k), -inf)
    best = scores.sort(dim=-1, descending=True, stable=True).indices[..., :k]  # (B, V) -> (B, K)
    return scores.masked_fill(torch.ones_like(scores, dtype=torch.bool).scatter(-1, best, False), -inf)


def top_p(scores: Tensor, p: float, min_keep: int = 1) -> Tensor:
    """Keep the smallest set of best tokens whose probabilities reach `p`: (B, V) float -> (B, V), same dtype.

    Mass is summed from the least likely token up, as Hugging Face does: the tail that fits in `1 - p` goes.
    Among equals the small ids go first, so that of tied best tokens a small `p` keeps the last.
    Holtzman et al. (2019), https://arxiv.org/abs/1904.09751.
    """
    ordered, ids = scores.sort(dim=-1)
    tail = ordered.softmax(dim=-1).cumsum(dim=-1) <= 1 - p
    tail[..., -min_keep:] = False
    return scores.masked_fill(torch.empty_like(tail).scatter(-1, ids, tail), -inf)


def min_p(scores: Tensor, p: float, min_keep: int = 1) -> Tensor:
    """Ban what is less than `p` times as likely as the best token: (B, V) float -> (B, V), same dtype.

    Nguyen et al. (2024), https://arxiv.org/abs/2407.01082.
    """
    probs = scores.softmax(dim=-1)
    unlikely = probs < p * probs.amax(dim=-1, keepdim=True)
    kept = probs.topk(min(min_keep, scores.shape[-1])).indices  # (B, V) -> (B, K)
    return scores.masked_fill(unlikely.scatter(-1, kept, False), -inf)


class TopK:
    """`k` = 0 changes nothing."""

    def __init__(self, *, k: int, min_keep: int = 1, ties: Literal["keep", "cut"] = "keep") -> None:
        self.k, self.min_keep, self.ties = k, min_keep, ties

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """(R, T) int64, (R, V) float -> (R, V)."""
        return scores if self.k == 0 else top_k(scores, self.k, self.min_keep, self.ties)


class TopP:
    """`p` = 1 changes nothing, like `generate`, which leaves the step out."""

    def __init__(self, *, p: float, min_keep: int = 1) -> None:
        self.p, self.min_keep = p, min_keep

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """(R, T) int64, (R, V) float -> (R, V)."""
        return scores if self.p == 1 else top_p(scores, self.p, self.min_keep)


class MinP:
    """`p` = 0 changes nothing."""

    def __init__(self, *, p: float, min_keep: int = 1) -> None:
        self.p, self.min_keep = p, min_keep

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """(R, T) int64, (R, V) float -> (R, V)."""
        return scores if self.p == 0 else min_p(scores, self.p, self.min_keep)
