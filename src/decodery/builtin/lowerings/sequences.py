"""Biases on sequences of tokens, laid out by the tokens that complete them."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ..reference.rows import newest


class Sequences:
    """What to add to each completing token: always for a sequence of one, where its prefix stands for the others.

    `greatest` is the greatest id in any sequence: a vocabulary without it is the step's own affair.
    """

    def __init__(self, biases: Mapping[tuple[int, ...], float]) -> None:
        self.greatest = max(max(ids) for ids in biases)
        places = {token: place for place, token in enumerate(dict.fromkeys(ids[-1] for ids in biases))}
        self._ids = torch.tensor([list(places)])  # (1, U)
        self._always = torch.zeros(1, len(places))
        by_length: dict[int, list[tuple[int, ...]]] = {}
        for ids, bias in biases.items():
            if len(ids) == 1:
                self._always[0, places[ids[0]]] = bias
            else:
                by_length.setdefault(len(ids), []).append(ids)
        # The order of the lengths is the step's own: float32 sums depend on it.
        self._groups = [
            (
                torch.tensor([ids[:-1] for ids in group]),  # (G, N)
                torch.tensor([places[ids[-1]] for ids in group]),
                torch.tensor([biases[ids] for ids in group]),
            )
            for group in by_length.values()
        ]

    def clean(self, vocab: int) -> bool:
        """Whether every id is one of the vocabulary."""
        return self.greatest < vocab

    def edits(self, ids: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """(R, T) int64, (R,) int64 -> (1, U) int64, (R, U) or (1, U) float32."""
        if not self._groups:
            return self._ids, self._always
        values = self._always.repeat(len(ids), 1)
        for prefixes, places, biases in self._groups:
            count = prefixes.shape[1]
            tail = newest(ids, lengths, count)  # (R, T) -> (R, N)
            matches = (tail.unsqueeze(1) == prefixes).all(-1) & (lengths.unsqueeze(1) >= count)  # (R, G)
            values.index_add_(1, places, torch.where(matches, biases, 0.0))
        return self._ids, values
