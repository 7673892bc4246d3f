"""Exclude top choices (XTC): now and then the obvious tokens go, so that a plausible one gets its turn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from decodery.contracts.protocols import Rng, Tokenizer

from ..rows.filters import probabilities
from ..text.tokens import TokenOrText, token_ids

Variant = Literal["exempt", "protect_all"]


def excluded(
    scores: Tensor, threshold: float, protected: Tensor, variant: Variant = "exempt", min_keep: int = 1
) -> Tensor:
    """What XTC drops when its coin says so: (R, V) float, (V,) bool -> (R, V) bool.

    Of the tokens with `p >= threshold` all but the least likely (of equals the greatest id stays), where two or more
    reach it. `exempt`: protected tokens are not among them (exllamav3, mlx-lm). `protect_all`: a row that would lose a
    protected token loses nothing (text-generation-webui). Nor does one that would keep less than `min_keep`.
    p-e-w (2024), https://github.com/oobabooga/text-generation-webui/pull/6335; llama.cpp's xtc.
    """
    p = probabilities(scores)
    likely = (p >= threshold) & ~scores.isneginf()
    if variant == "exempt":
        likely = likely & ~protected
    # Ids downwards, so that of equal scores the greatest id comes first and stays.
    ranked = scores.masked_fill(~likely, torch.inf).flip(-1)
    stays = scores.shape[-1] - 1 - ranked.argmin(dim=-1, keepdim=True)  # (R, V) -> (R, 1)
    dropped = likely.scatter(-1, stays, False)
    if variant == "protect_all":
        dropped = dropped & ~(dropped & protected).any(dim=-1, keepdim=True)
    left = ((~dropped) & ~scores.isneginf()).sum(dim=-1, keepdim=True)
    return dropped & (left >= min_keep)


def xtc(scores: Tensor, dropped: Tensor, cut: Tensor) -> Tensor:
    """Ban `dropped` in the rows whose coin fell: (R, V) float, (R, V) bool, (R,) bool -> (R, V), same dtype."""
    return scores.masked_fill(dropped & cut.unsqueeze(-1), -torch.inf)  # (R,) -> (R, 1)


def expected_xtc(scores: Tensor, dropped: Tensor, probability: float) -> Tensor:
    """The mixture over the coin: `(1 - q) p + q p'`, p' without what is dropped; log-probabilities (R, V)."""
    p = probabilities(scores)
    kept = p.masked_fill(dropped, 0.0)
    mixed = (1 - probability) * p + probability * kept / kept.sum(dim=-1, keepdim=True)
    # A probability too small for a float64 is no ban: there the mixture is p, up to one factor for the row.
    faint = (mixed == 0) & ~dropped & ~scores.isneginf()
    log_p = scores.double().log_softmax(dim=-1)
    return torch.where(faint, log_p, mixed.log()).to(scores.dtype)


class Xtc:
    """`probability` = 0 changes nothing. One coin a row a step; `expected` draws none.

    `protect` are ids or texts. It works under every strategy: a greedy choice is made among what it leaves.
    """

    def __init__(
        self,
        *,
        probability: float,
        rng: Rng,
        threshold: float = 0.1,
        protect: Sequence[TokenOrText] = (),
        protect_eos: bool = False,
        variant: Variant = "exempt",
        expected: bool = False,
        min_keep: int = 1,
        eos: Sequence[int] = (),
        tokenizer: Tokenizer | None = None,
    ) -> None:
        self.probability, self.threshold, self.rng = probability, threshold, rng
        self.variant: Variant = variant
        self.expected, self.min_keep = expected, min_keep
        ids = token_ids(protect, tokenizer, "xtc: protect") | (set(eos) if protect_eos else set())
        self.protected = torch.tensor(sorted(ids), dtype=torch.int64)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """(R, T) int64, (R, V) float -> (R, V)."""
        if self.probability == 0:
            return scores
        ids = self.protected[self.protected < scores.shape[-1]].to(scores.device)
        protected = torch.zeros(scores.shape[-1], dtype=torch.bool, device=scores.device)
        protected = protected.scatter(0, ids, True)
        dropped = excluded(scores, self.threshold, protected, self.variant, self.min_keep)
        if self.expected:
            return expected_xtc(scores, dropped, self.probability)
        return xtc(scores, dropped, self.rng.uniform("coin") < self.probability)

    def observe(self, tokens: Tensor, active: Tensor) -> None:
        """(R,) int64, (R,) bool: the coins are the row's own, so there is nothing to follow."""

    def select(self, rows: Tensor) -> None:
        """(R',) int64."""

    def rewind(self, counts: Tensor) -> None:
        """(R,) int64."""
