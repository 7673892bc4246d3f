"""Mirostat: the surprise of the text is held at a target, by a bound that each token moves."""

from __future__ import annotations

from math import log, log2
from typing import Literal

import torch
from torch import Tensor

from decodery.contracts.protocols import Rng

from ..rows.filters import ban, descending, keep_first
from ..rows.journal import Journal
from .alone import alone

Version = Literal[1, 2]


def surprises(scores: Tensor) -> Tensor:
    """`-log2 p`: (R, V) float -> (R, V) float64, inf for what is banned."""
    return -scores.double().log_softmax(dim=-1) / log(2)


def cut_by_surprise(scores: Tensor, mu: Tensor) -> Tensor:
    """Version 2: keep the tokens of at most `mu` bits, at least the best: (R, V) float, (R,) float64 -> (R, V)."""
    return ban(scores, surprises(scores) > mu.unsqueeze(-1), 1)


def zipf_exponent(scores: Tensor, m: int) -> Tensor:
    """The exponent of a power law through the `m` likeliest tokens that are allowed: (R, V) float -> (R,) float64.

    Least squares of `ln(p_i / p_(i+1))` on `ln((i+1) / i)`; 0 for a row without two tokens.
    """
    ordered = descending(scores.double())[0][..., : max(m, 1)]
    falls = -ordered.diff(dim=-1)  # (R, M) -> (R, M - 1)
    falls = torch.where(ordered[..., 1:].isneginf(), 0.0, falls)
    place = torch.arange(1, falls.shape[-1] + 1, dtype=torch.float64, device=scores.device)
    law = (1 / place).log1p() * ~ordered[..., 1:].isneginf()
    squares = (law * law).sum(dim=-1)
    return torch.where(squares > 0, (law * falls).sum(dim=-1) / squares, 0.0)


def top_k_of(mu: Tensor, exponent: Tensor, vocab_size: int) -> Tensor:
    """Version 1: how many tokens have at most `mu` bits under the power law, 1 to V: 2 x (R,) float64 -> (R,) int64.

    `((s - 1) 2**mu / (1 - V**-(s - 1)))**(1/s)`, in logarithms, since a flat row (s = 0) has an infinite or no k.
    """
    rest = exponent - 1
    size = log(vocab_size) if vocab_size > 1 else 1.0
    # (s - 1) / (1 - V**-(s - 1)), whose limit at s = 1 is 1 / ln V.
    factor = torch.where(rest.abs() < 1e-9, 1 / size, rest / -torch.expm1(-rest * size))
    bits = ((factor.log2() + mu) / exponent).nan_to_num(nan=log2(vocab_size) if vocab_size > 1 else 0.0)
    return bits.clamp(0.0, log2(vocab_size)).exp2().add(1e-9).floor().long().clamp(1, vocab_size)


def truncated(scores: Tensor, mu: Tensor, version: Version, m: int) -> Tensor:
    """What mirostat draws from: (R, V) float, (R,) float64 -> (R, V), same dtype."""
    if version == 2:
        return cut_by_surprise(scores, mu)
    return keep_first(scores, top_k_of(mu, zipf_exponent(scores, m), scores.shape[-1]), 1)


class Mirostat:
    """A strategy. Basu et al. (2020), https://arxiv.org/abs/2007.14966.

    `mu` begins at `2 tau` and moves by `-eta * (surprise - tau)` with each token of the row, surprise being that among
    the tokens that were left. Each row has its own.
    """

    def __init__(self, *, version: Version = 2, tau: float = 5.0, eta: float = 0.1, m: int = 100) -> None:
        self.version: Version = version
        self.tau, self.eta, self.m = tau, eta, m
        self._mu = Journal([2 * tau])
        self._pending: Tensor | None = None  # surprises of the last answer, which the next token chooses from

    def choose(self, scores: Tensor, rng: Rng) -> Tensor:
        """(R, V) float -> (R,) int64."""
        return rng.categorical(self.truncate(scores))

    def truncate(self, scores: Tensor) -> Tensor:
        """(R, V) float -> (R, V). Asked again before the next token it says the same."""
        mu = self._mu.current(len(scores), scores.device).squeeze(-1)  # (R, 1) -> (R,)
        left = truncated(scores, mu, self.version, self.m)
        self._pending = surprises(left)
        return left

    def observe(self, tokens: Tensor, active: Tensor) -> None:
        """(R,) int64, (R,) bool. A token that was not among those left does not move `mu`."""
        mu = self._mu.current(len(tokens), tokens.device)
        if self._pending is not None:
            surprise = self._pending.gather(-1, tokens.unsqueeze(-1))  # (R, V) -> (R, 1)
            mu = torch.where(surprise.isfinite(), mu - self.eta * (surprise - self.tau), mu)
        self._mu.push(mu, active)
        self._pending = None

    def select(self, rows: Tensor) -> None:
        """(R',) int64."""
        self._mu.select(rows)
        self._pending = None if self._pending is None else self._pending[rows]

    def rewind(self, counts: Tensor) -> None:
        """(R,) int64."""
        self._mu.rewind(counts)
        self._pending = None


class MirostatStep(Mirostat):
    """The same as a step that draws by itself and leaves one token, for engines that have it inside of a chain."""

    def __init__(
        self, *, rng: Rng, version: Version = 2, tau: float = 5.0, eta: float = 0.1, m: int = 100
    ) -> None:
        super().__init__(version=version, tau=tau, eta=eta, m=m)
        self._rng = rng

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """(R, T) int64, (R, V) float -> (R, V)."""
        return alone(scores, self.choose(scores, self._rng))
