"""A strategy: processed scores in, a token a row out."""

import torch
from torch import Tensor

from decodery.contracts.protocols import Rng


class EpsilonGreedy:
    def __init__(self, *, epsilon: float) -> None:
        self.epsilon = epsilon

    def choose(self, scores: Tensor, rng: Rng) -> Tensor:
        """(R, V) float -> (R,) int64. All chance comes from `rng`, so that a seed repeats the run."""
        explores = rng.uniform("explore") < self.epsilon  # (R,)
        return torch.where(explores, rng.categorical(scores), scores.argmax(dim=-1))
