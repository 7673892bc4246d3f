"""Banned phrases (antislop): when one is complete, its tokens are taken back and its first one is banned there."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from decodery.contracts.errors import BadRow
from decodery.contracts.protocols import Run, Tokenizer

from ..text.tokens import Vocabulary, vocabulary


def first_token_of(texts: Sequence[str], phrases: Sequence[str]) -> int | None:
    """Where the phrase begins that the last of some tokens completes: the index of that token, None if there is none.

    `texts` are the tokens' texts; the phrase may begin and end inside of tokens. Of several the earliest counts.
    """
    text = "".join(texts)
    old = len(text) - len(texts[-1]) if texts else 0
    found = [place for p in phrases if (place := text.find(p, max(old - len(p) + 1, 0))) >= 0]
    seen = 0
    for index, one in enumerate(texts):
        seen += len(one)
        if found and min(found) < seen:
            return index
    return None


def is_open(text: str, phrases: Sequence[str]) -> bool:
    """Whether a phrase may have begun at the end of `text`."""
    return any(text.endswith(phrase[:count]) for phrase in phrases for count in range(1, len(phrase)))


class _Row:
    """One row's new tokens, how many of them are final, and what is banned at which of their places."""

    def __init__(self, words: Vocabulary, fold: bool) -> None:
        self._words, self._fold = words, fold
        self.tokens: list[int] = []
        self.texts: list[str] = []
        self.final = 0
        self.banned: defaultdict[int, set[int]] = defaultdict(set)

    @property
    def here(self) -> set[int]:
        """What is banned at the next place."""
        return self.banned.get(len(self.tokens), set())

    def append(self, token: int) -> None:
        text = self._words.text([token])
        self.tokens.append(token)
        self.texts.append(text.casefold() if self._fold else text)

    def take_back_to(self, place: int) -> int:
        """Ban the token at `place`; take it and what follows back, and the bans of that text. Returns how many."""
        count = len(self.tokens) - place
        self.banned[place].add(self.tokens[place])
        del self.tokens[place:], self.texts[place:]
        for later in [one for one in self.banned if one > place]:
            del self.banned[later]
        return count


class BannedPhrases:
    """A strategy: it draws, or takes the best (`draw: false`), and no phrase is ever complete in new text.

    A stream shows a row as far as no phrase can have begun. When every token of a place is banned, the one before it
    goes too. KoboldCpp's antislop, exllamav3's banned strings; Paech (2024),
    https://github.com/sam-paech/antislop-sampler.
    """

    def __init__(
        self, *, phrases: Sequence[str], tokenizer: Tokenizer, ignore_case: bool = False, draw: bool = True
    ) -> None:
        self._words, self._fold, self._draw = vocabulary(tokenizer), ignore_case, draw
        self._phrases = tuple(phrase.casefold() if ignore_case else phrase for phrase in phrases)
        self._reach = max((len(phrase) for phrase in self._phrases), default=0)

    def decode(self, run: Run) -> Iterator[None]:
        """Raises `CannotFollow` at once when a step cannot take tokens back, `BadRow` where nothing is left to try."""
        run.rewind(torch.zeros_like(run.lengths))
        rows = [_Row(self._words, self._fold) for _ in range(len(run.lengths))]
        while not run.done:
            scores = without(run.scores(), [row.here for row in rows])
            stuck = (scores.isneginf().all(dim=-1) & ~run.finished).tolist()
            if any(stuck):
                self._go_back(
                    run, rows, [self._before(row, at) if stuck[at] else None for at, row in enumerate(rows)]
                )
                continue
            before = run.lengths.clone()
            tokens = self._choose(run, scores, [len(row.here) for row in rows])
            run.append(tokens)
            for row, grew, token in zip(rows, (run.lengths > before).tolist(), tokens.tolist(), strict=True):
                if grew:
                    row.append(token)
            self._go_back(run, rows, [first_token(row, self._phrases, self._reach) for row in rows])
            if not any(is_open("".join(row.texts[-self._reach :]), self._phrases) for row in rows):
                for row in rows:
                    row.final = len(row.tokens)
                yield

    def _choose(self, run: Run, scores: Tensor, tries: Sequence[int]) -> Tensor:
        """A second draw at a place has a number of its own, in that row alone."""
        if not self._draw:
            return scores.argmax(dim=-1)
        tokens = run.rng.categorical(scores)
        for again in sorted(set(tries) - {0}):
            rows = torch.tensor([count == again for count in tries], device=tokens.device)
            tokens = torch.where(rows, run.rng.categorical(scores, f"again {again}"), tokens)
        return tokens

    def _go_back(self, run: Run, rows: Sequence[_Row], places: Sequence[int | None]) -> None:
        counts = [
            0 if place is None else row.take_back_to(place) for row, place in zip(rows, places, strict=True)
        ]
        if any(counts):
            run.rewind(torch.tensor(counts, device=run.lengths.device))

    def _before(self, row: _Row, at: int) -> int:
        if len(row.tokens) <= row.final:
            raise BadRow(at, len(row.tokens), "banned_phrases", "every token is banned")
        return len(row.tokens) - 1


def without(scores: Tensor, banned: Sequence[set[int]]) -> Tensor:
    """Ban some tokens in each row: (R, V) float -> (R, V), same dtype."""
    pairs = [(row, token) for row, tokens in enumerate(banned) for token in sorted(tokens)]
    if not pairs:
        return scores
    at = torch.tensor(pairs, device=scores.device).unbind(1)  # (N, 2) -> 2 x (N,)
    return scores.index_put(at, scores.new_tensor(-torch.inf))


def first_token(row: _Row, phrases: Sequence[str], reach: int) -> int | None:
    """Where in `row` the phrase begins that its last token completes, if one does. What is final cannot be in it."""
    begin = max(min(row.final, len(row.texts) - 1), len(row.texts) - reach - 1, 0)
    found = first_token_of(row.texts[begin:], phrases)
    return None if found is None else begin + found
