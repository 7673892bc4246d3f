"""Bias on sequences of tokens: a number added when the next token would complete one; -inf bans it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf

import torch
from torch import Tensor

from .rows import check_ids, lengths_of, newest


@dataclass(frozen=True, slots=True)
class BiasTable:
    """Biases as tensors.

    `single` (V,) float32 is what one-token sequences add, always. `groups` holds for each prefix length N the
    prefixes (G, N) int64, the tokens that complete them (G,) int64 and the biases (G,) float32.
    """

    single: Tensor
    groups: tuple[tuple[Tensor, Tensor, Tensor], ...]


def bias_table(biases: Mapping[tuple[int, ...], float], vocab_size: int, device: torch.device) -> BiasTable:
    """Lay out `biases`, sequence -> bias, for a vocabulary; in float32 whatever the scores are, as in HF."""
    single = torch.zeros(vocab_size, dtype=torch.float32)
    for ids, bias in biases.items():
        if len(ids) == 1:
            single[ids[0]] = bias
    by_length: dict[int, list[tuple[int, ...]]] = {}
    for ids in biases:
        if len(ids) > 1:
            by_length.setdefault(len(ids), []).append(ids)
    groups = tuple(
        (
            torch.tensor([ids[:-1] for ids in group], dtype=torch.int64, device=device),
            torch.tensor([ids[-1] for ids in group], dtype=torch.int64, device=device),
            torch.tensor([biases[ids] for ids in group], dtype=torch.float32, device=device),
        )
        for group in by_length.values()
    )
    return BiasTable(single.to(device), groups)


def sequence_bias(input_ids: Tensor, lengths: Tensor, scores: Tensor, table: BiasTable) -> Tensor:
    """Add to each token the biases of the sequences it would complete.

    (R, T) int64, (R,) int64, (R, V) float -> (R, V) of the dtype of `scores`. A prefix may lie in the prompt;
    one longer than the row never matches. The formula is SequenceBiasLogitsProcessor's of transformers.
    """
    bias = table.single.to(scores.dtype).repeat(scores.shape[0], 1)  # (V,) -> (R, V)
    for prefixes, completing, values in table.groups:
        count = prefixes.shape[1]
        tail = newest(input_ids, lengths, count)  # (R, T) -> (R, N)
        matches = (tail[:, None] == prefixes).all(dim=-1)  # (R, 1, N), (G, N) -> (R, G)
        matches &= lengths[:, None] >= count
        # Of the sequences of one length that end in one token at most one matches: any order adds the same.
        bias.index_add_(1, completing, torch.where(matches, values, 0.0).to(scores.dtype))
    return scores + bias


class SequenceBias:
    """Pairs of a sequence and its bias; of two pairs with one sequence the later counts."""

    name = "sequence_bias"

    def __init__(self, *, pairs: Sequence[tuple[Sequence[int], float]]) -> None:
        biases = {tuple(ids): bias for ids, bias in pairs}
        self.biases = {ids: bias for ids, bias in biases.items() if bias != 0}
        self._table: tuple[int, torch.device, BiasTable] | None = None

    def __call__(
        self,
        input_ids: Tensor,
        scores: Tensor,
        *,
        lengths: Tensor | None = None,
        prompt_lengths: Tensor | None = None,
    ) -> Tensor:
        """(R, T) int64, (R, V) float, (R,) int64, (R,) int64 -> (R, V).

        Raises `InvalidInput` when a sequence has ids that the vocabulary has not.
        """
        if not self.biases:
            return scores
        table = self._table_for(scores.shape[-1], scores.device)
        return sequence_bias(input_ids, lengths_of(input_ids, lengths), scores, table)

    def _table_for(self, vocab_size: int, device: torch.device) -> BiasTable:
        # Kept in one assignment and returned from here, so that threads with other vocabularies cannot swap it.
        table = self._table
        if table is None or table[:2] != (vocab_size, device):
            check_ids(self.name, (token for ids in self.biases for token in ids), vocab_size)
            table = self._table = (vocab_size, device, bias_table(self.biases, vocab_size, device))
        return table[2]


class BadWords(SequenceBias):
    """Sequences that are never completed; an end-of-sequence token alone stays allowed, as in HF's class."""

    name = "bad_words"

    def __init__(self, *, ids: Sequence[Sequence[int]], eos: Sequence[int]) -> None:
        super().__init__(pairs=[(word, -inf) for word in ids if len(word) > 1 or word[0] not in eos])
