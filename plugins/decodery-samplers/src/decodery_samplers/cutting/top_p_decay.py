"""Factual nucleus sampling: top-p that narrows as a sentence goes on."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

import torch
from torch import Tensor

from decodery.contracts.protocols import Tokenizer

from ..rows.filters import descending
from ..rows.lengths import lengths_of
from ..text.tokens import TokenOrText, token_ids


def decayed(
    input_ids: Tensor,
    lengths: Tensor,
    prompt_lengths: Tensor,
    p: float,
    decay: float,
    p_min: float,
    reset: Tensor,
) -> Tensor:
    """`max(p_min, p * decay**t)`, t the generated tokens since the last reset id.

    (R, T) int64, (R,) int64, (R,) int64, (E,) int64 -> (R,) float64.
    """
    slots = torch.arange(input_ids.shape[1], device=input_ids.device)
    generated = (slots < lengths[:, None]) & (slots >= prompt_lengths[:, None])  # (T,), (R, 1) -> (R, T)
    resets = generated & (input_ids.unsqueeze(-1) == reset).any(dim=-1)  # (R, T, 1), (E,) -> (R, T)
    last = torch.where(resets, slots + 1, prompt_lengths[:, None]).amax(dim=-1)  # (R, T) -> (R,)
    return (p * decay ** (lengths - last).double()).clamp(min=min(p, p_min))


def nucleus(scores: Tensor, p: Tensor, min_keep: int = 1) -> Tensor:
    """The smallest set of best tokens that holds `p`: (R, V) float, (R,) float64 -> (R, V), same dtype."""
    ordered, ids = descending(scores)
    mass = ordered.double().softmax(dim=-1)
    before = mass.cumsum(dim=-1) - mass  # what the better ones hold
    beyond = before >= p.unsqueeze(-1)  # (R,) -> (R, 1)
    beyond[..., :min_keep] = False
    return scores.masked_fill(torch.empty_like(beyond).scatter(-1, ids, beyond), -inf)


class TopPDecay:
    """`p` shrinks by `decay` a token, not below `p_min`, and begins anew after a token of `reset` (ids or texts).

    Lee et al. (2022), https://arxiv.org/abs/2206.04624; TensorRT-LLM's top_p_decay. `p` = 1 with `decay` = 1 changes
    nothing.
    """

    def __init__(
        self,
        *,
        p: float,
        prompt_lengths: Tensor,
        decay: float = 1.0,
        p_min: float = 1e-6,
        reset: Sequence[TokenOrText] = (),
        min_keep: int = 1,
        tokenizer: Tokenizer | None = None,
    ) -> None:
        self.p, self.decay, self.p_min, self.min_keep = p, decay, p_min, min_keep
        self.prompt_lengths = prompt_lengths
        ids = token_ids(reset, tokenizer, "top_p_decay: reset")
        self.reset = torch.tensor(sorted(ids), dtype=torch.int64)

    def __call__(
        self,
        input_ids: Tensor,
        scores: Tensor,
        *,
        lengths: Tensor | None = None,
        prompt_lengths: Tensor | None = None,
    ) -> Tensor:
        """(R, T) int64, (R, V) float, (R,) int64, (R,) int64 -> (R, V)."""
        if self.p == 1 and self.decay == 1:
            return scores
        lengths = lengths_of(input_ids, lengths)
        prompt_lengths = self.prompt_lengths if prompt_lengths is None else prompt_lengths
        reset = self.reset.to(input_ids.device)
        p = decayed(input_ids, lengths, prompt_lengths, self.p, self.decay, self.p_min, reset)
        return nucleus(scores, p, self.min_keep)
