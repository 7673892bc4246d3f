"""What a beam search keeps of each prompt: the sums of its running beams and the pool of its finished texts."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

NEVER = -1.0e9
"""The score of what is not there. transformers' number: adding it keeps float32 scores finite."""


@dataclass(frozen=True, slots=True)
class Text:
    """A finished hypothesis: its new tokens and why it ends."""

    tokens: tuple[int, ...]
    reason: str


@dataclass(slots=True)
class Prompts:
    """The state of P prompts with K beams and a pool of F finished texts each.

    running (P, K) float32 sums of log-probabilities; scores (P, F) float32 of the pool, the best first; full (P, F)
    bool, which places of the pool are taken; improvable (P, 1) bool, whether running beams may still enter it.
    """

    index: list[int]
    running: Tensor
    scores: Tensor
    full: Tensor
    improvable: Tensor
    horizon: Tensor
    texts: list[list[Text | None]]

    def take(self, kept: list[int]) -> Prompts:
        """The prompts at these places alone."""
        at = torch.tensor(kept, device=self.running.device, dtype=torch.int64)
        return Prompts(
            [self.index[place] for place in kept],
            self.running[at],
            self.scores[at],
            self.full[at],
            self.improvable[at],
            self.horizon[at],
            [self.texts[place] for place in kept],
        )

    @property
    def any_full(self) -> bool:
        """Whether some prompt's pool has no room."""
        return any(None not in texts for texts in self.texts)


def nothing_left(running: Tensor, best: Tensor) -> Tensor:
    """(P, K) sums of beams, (P,) of the best candidate -> (P,) bool, whether a prompt cannot go on: a NaN or an
    infinite score anywhere, or every token of every beam banned. Where every beam had ended before, nothing is amiss.

    torch's maximum and its order have NaN first, so the best candidate tells of all.
    """
    return ~best.isfinite() & ~((best == -torch.inf) & (running.amax(-1) <= NEVER))
