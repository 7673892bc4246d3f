"""Truncation by entropy, and the plain cutoff beside it: typical-p, epsilon, eta."""

from __future__ import annotations

from math import inf

import torch
from torch import Tensor

from .truncation import below_top


def typical_p(scores: Tensor, p: float, min_keep: int = 1) -> Tensor:
    """Keep the tokens whose surprise is nearest to the entropy until they hold the mass `p`.

    (B, V) float -> (B, V), same dtype. The best token may go. Meister et al. (2022),
    https://arxiv.org/abs/2202.00666.
    """
    log_probs = scores.log_softmax(dim=-1)
    # A banned token has probability 0 and log probability -inf; their product counts as 0.
    entropy = -(log_probs * log_probs.exp()).nansum(dim=-1, keepdim=True)
    distance, ids = (-log_probs - entropy).abs().sort(dim=-1)
    mass = scores.gather(-1, ids).softmax(dim=-1).cumsum(dim=-1)
    last = (mass < p).sum(dim=-1, keepdim=True).clamp(max=scores.shape[-1] - 1)  # (B, V) -> (B, 1)
    far = distance > distance.gather(-1, last)
    far[..., :min_keep] = False
    return scores.masked_fill(torch.empty_like(far).scatter(-1, ids, far), -inf)


def epsilon_cutoff(scores: Tensor, epsilon: float, min_keep: int = 1) -> Tensor:
    """Ban what is less likely than `epsilon`, except the `min_keep` best: (B, V) float -> (B, V), same dtype.

    Hewitt, Manning and Liang (2022), https://arxiv.org/abs/2210.15191.
    """
    unlikely = scores.softmax(dim=-1) < epsilon
    return scores.masked_fill(unlikely & below_top(scores, min_keep), -inf)


def eta_cutoff(scores: Tensor, epsilon: float, min_keep: int = 1) -> Tensor:
    """Like `epsilon_cutoff` with the bound `min(epsilon, sqrt(epsilon) * exp(-entropy))`, which gives way
    where the distribution is flat: (B, V) float -> (B, V), same dtype.

    Hewitt, Manning and Liang (2022), https://arxiv.org/abs/2210.15191.
    """
    log_probs = scores - scores.logsumexp(dim=-1, keepdim=True)
    finite = log_probs.clamp(min=torch.finfo(scores.dtype).min)
    entropy = -(finite * log_probs.softmax(dim=-1)).sum(dim=-1, keepdim=True)
    # Hugging Face holds epsilon in float32 whatever the scores are, and a float64 bound shows it.
    bound = torch.full((), epsilon, dtype=torch.float32, device=scores.device)
    eta = torch.minimum(bound, bound.sqrt() * torch.exp(-entropy))
    unlikely = scores.softmax(dim=-1) < eta
    return scores.masked_fill(unlikely & below_top(scores, min_keep), -inf)


def top_h(scores: Tensor, h: float, min_keep: int = 1) -> Tensor:
    """Keep the best tokens while the entropy they carry stays within `h` of the entropy of the 100 best.

    (B, V) float -> (B, V), same dtype. The best token stays; past the 100 best nothing does.
    Potraghloo et al. (2025), https://arxiv.org/abs/2509.02510.
    """
    best, ids = scores.topk(min(100, scores.shape[-1]))  # (B, V) -> (B, K)
    log_probs = best - best.logsumexp(dim=-1, keepdim=True)
    probs = log_probs.softmax(dim=-1)
    entropy = -(log_probs.clamp(min=torch.finfo(scores.dtype).min) * probs).sum(dim=-1, keepdim=True)
    # A token of probability 0 makes the sum NaN from there on, which is within nothing.
    within = (-probs * probs.log()).cumsum(dim=-1) <= entropy * h
    within[..., :min_keep] = True
    kept = torch.zeros_like(scores, dtype=torch.bool).scatter(-1, ids, within)  # (B, K) -> (B, V)
    return scores.masked_fill(~kept, -inf)


class TopH:
    """No value of `h` is neutral: at 1 it still keeps the 100 best tokens only."""

    def __init__(self, *, h: float, min_keep: int = 1) -> None:
        self.h, self.min_keep = h, min_keep

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """(R, T) int64, (R, V) float -> (R, V)."""
        return top_h(scores, self.h, self.min_keep)


class TypicalP:
    """`p` = 1 changes nothing."""

    def __init__(self, *, p: float, min_keep: int = 1) -> None:
        self.p, self.min_keep = p, min_keep

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """(R, T) int64, (R, V) float -> (R, V)."""
        return scores if self.p == 1 else typical_p(scores, self.p, self.min_keep)


class EpsilonCutoff:
    """`epsilon` = 0 changes nothing."""

    def __init__(self, *, epsilon: float, min_keep: int = 1) -> None:
        self.epsilon, self.min_keep = epsilon, min_keep

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """(R, T) int64, (R, V) float -> (R, V)."""
        return scores if self.epsilon == 0 else epsilon_cutoff(scores, self.epsilon, self.min_keep)


class EtaCutoff:
    """`epsilon` = 0 changes nothing."""

    def __init__(self, *, epsilon: float, min_keep: int = 1) -> None:
        self.epsilon, self.min_keep = epsilon, min_keep

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """(R, T) int64, (R, V) float -> (R, V)."""
        return scores if self.epsilon == 0 else eta_cutoff(scores, self.epsilon, self.min_keep)
