"""Rows to try steps on: scores like a language model's, flat, tied, far apart, with bans; ids to go with them.

Fixed seeds: the same rows in every run. Histories and facts use the ids below `NAMED` only, so the last two tokens
of a vocabulary are named by nothing, and a step that bans by id has no reason to ban them. They are never banned
beforehand.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import torch
from torch import Tensor

from ..engine.rng import RowRng
from ..engine.steps.apply import View
from ..engine.steps.facts import Facts

VOCABULARIES = (8, 40)
NAMED = 6
EOS, PAD, CONTEXT = 4, 0, 64
LIMIT = 10  # of rows of 9 tokens every other one is about to get its last


@dataclass(frozen=True, slots=True)
class Rows:
    """What a step meets in one call. `kind` names the rows in messages.

    ids (R, T) int64, right-padded; scores (R, V) float; lengths, prompt_lengths (R,) int64; keys (R,) int64: who each
    row is to the random generator; encoder_ids (R, S) int64, right-padded, encoder_lengths (R,) int64; padding (R,)
    int64 pads that begin each row, or None.
    """

    kind: str
    ids: Tensor
    scores: Tensor
    lengths: Tensor
    prompt_lengths: Tensor
    keys: Tensor
    encoder_ids: Tensor
    encoder_lengths: Tensor
    padding: Tensor | None = None

    def take(self, rows: Sequence[int]) -> Rows:
        """These rows alone, in this order, cropped to the longest: (R, T) -> (R', T')."""
        at = torch.tensor(rows)
        lengths = self.lengths[at]
        return replace(
            self,
            ids=self.ids[at, : int(lengths.max())],
            scores=self.scores[at],
            lengths=lengths,
            prompt_lengths=self.prompt_lengths[at],
            keys=self.keys[at],
            encoder_ids=self.encoder_ids[at],
            encoder_lengths=self.encoder_lengths[at],
            padding=None if self.padding is None else self.padding[at],
        )

    def with_scores(self, scores: Tensor) -> Rows:
        """The same histories with other scores (R, V) float."""
        return replace(self, scores=scores)

    def view(self) -> View:
        """Copies, every row active: a step that writes into its arguments spoils nobody else's."""
        lengths = self.lengths.tolist()
        return View(
            self.ids.clone(), self.lengths.clone(), self.prompt_lengths.clone(), lengths, range(len(lengths))
        )

    def facts(self, steps: Tensor | None = None) -> Facts:
        """Copies as well. `steps` (R,) int64 is the generator's counter, advanced by whoever grows the rows."""
        steps = self.lengths - self.prompt_lengths if steps is None else steps
        return Facts(
            prompt_lengths=self.prompt_lengths.clone(),
            device=self.scores.device,
            rng=RowRng(self.keys.clone(), torch.zeros_like(self.keys), steps),
            eos=(EOS,),
            pad=PAD,
            vocab_size=self.scores.shape[-1],
            tokenizer=Letters(self.scores.shape[-1]),
            encoder_ids=self.encoder_ids.clone(),
            encoder_lengths=self.encoder_lengths.clone(),
            prompt_index=self.keys % 7,
            limits=LIMIT + self.keys % 2,
            padding=None if self.padding is None else self.padding.clone(),
            max_length=CONTEXT,
        )


class Letters:
    """A tokenizer whose tokens are single letters: 0 is "a", 1 is "b" ..."""

    bos, eos, pad = None, (EOS,), PAD

    def __init__(self, size: int) -> None:
        self.size = self.vocab_size = size

    def encode(self, text: str, special: bool = True) -> list[int]:
        return [(ord(letter) - ord("a")) % self.size for letter in text]

    def decode(self, ids: Sequence[int]) -> str:
        return "".join(chr(ord("a") + token) for token in ids)


@lru_cache(maxsize=64)
def rows(
    kind: str, vocab: int, lengths: tuple[int, ...], prompt_lengths: tuple[int, ...], seed: int = 0
) -> Rows:
    """Rows of these lengths with scores of a `kind` in `KINDS`.

    The second row ends in 2, 1 and the third in eos, so that rules about endings have something to find.
    """
    rng = torch.Generator().manual_seed(seed)
    count, width = len(lengths), max(lengths)
    ids = torch.randint(0, NAMED, (count, width), generator=rng)
    for row, ending in ((1, (2, 1)), (2, (EOS,))):
        if row < count and lengths[row] >= len(ending):
            ids[row, lengths[row] - len(ending) : lengths[row]] = torch.tensor(ending)
    for row, length in enumerate(lengths):
        ids[row, length:] = PAD
    return Rows(
        kind=kind,
        ids=ids,
        scores=KINDS[kind](count, vocab, rng),
        lengths=torch.tensor(lengths),
        prompt_lengths=torch.tensor(prompt_lengths),
        keys=torch.arange(count) * 7919 + seed,
        encoder_ids=torch.randint(0, NAMED, (count, 3), generator=rng),
        encoder_lengths=torch.arange(count) % 3 + 1,
    )


def score_rows(*kinds: str) -> list[Rows]:
    """Four rows of 9 tokens of each kind (all of them unless some are named) and each vocabulary."""
    return [
        rows(kind, vocab, (9, 9, 9, 9), (9, 6, 5, 3), seed=place)
        for place, kind in enumerate(kinds or tuple(KINDS))
        for vocab in VOCABULARIES
    ]


def short_rows() -> list[Rows]:
    """Histories of one token, all of it prompt."""
    return [rows("lm-like", vocab, (1, 1, 1, 1), (1, 1, 1, 1), seed=11) for vocab in VOCABULARIES]


def ragged_rows() -> list[Rows]:
    """Rows of 1 to 9 tokens, prompts of 1 to 5."""
    return [
        rows(kind, vocab, (9, 6, 1, 3, 7), (5, 4, 1, 2, 5), seed=21)
        for kind in ("lm-like", "with bans")
        for vocab in VOCABULARIES
    ]


def _lm_like(count: int, vocab: int, rng: torch.Generator) -> Tensor:
    """The log of a power law, shuffled and shaken."""
    ranks = (
        torch.stack([torch.randperm(vocab, generator=rng) for _ in range(count)]) + 1.0
    )  # R x (V,) -> (R, V)
    return -1.3 * ranks.log() + 0.3 * torch.randn(count, vocab, generator=rng) + 3


def _flat(count: int, vocab: int, rng: torch.Generator) -> Tensor:
    return 1e-3 * torch.randn(count, vocab, generator=rng)


def _tied(count: int, vocab: int, rng: torch.Generator) -> Tensor:
    return torch.randint(-2, 3, (count, vocab), generator=rng).float()


def _far_apart(count: int, vocab: int, rng: torch.Generator) -> Tensor:
    """So far that most probabilities are 0."""
    return 300 * torch.randn(count, vocab, generator=rng)


def _with_bans(count: int, vocab: int, rng: torch.Generator) -> Tensor:
    banned = torch.rand(count, vocab, generator=rng) < 0.5
    banned[:, -2:] = False
    return _lm_like(count, vocab, rng).masked_fill(banned, -torch.inf)


def _one_left(count: int, vocab: int, rng: torch.Generator) -> Tensor:
    """Everything banned but the last token."""
    scores = torch.full((count, vocab), -torch.inf)
    scores[:, -1] = torch.randn(count, generator=rng)
    return scores


KINDS: dict[str, Callable[[int, int, torch.Generator], Tensor]] = {
    "lm-like": _lm_like,
    "flat": _flat,
    "tied": _tied,
    "far apart": _far_apart,
    "with bans": _with_bans,
    "one left": _one_left,
}
