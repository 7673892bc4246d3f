"""Words that a text must contain, and how far a text has come with them.

A constraint is a phrase or a choice of phrases; one of them is enough. Constraints are fulfilled one after another, in
any order: a text in the middle of one goes on with it or begins it anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

Phrase = tuple[int, ...]


class Progress(NamedTuple):
    """`met` constraints are fulfilled; `path` of constraint `word` has been written (empty: none is under way);
    `pending` are those that nothing was done about."""

    met: int
    word: int
    path: Phrase
    pending: tuple[int, ...]

    @property
    def complete(self) -> bool:
        return not self.path and not self.pending


class Constraints:
    """`words`: for each constraint its alternatives, none of which begins with another."""

    def __init__(self, words: Sequence[Sequence[Phrase]]) -> None:
        self._words = tuple(tuple(alternatives) for alternatives in words)
        self._lengths = [max(map(len, alternatives)) for alternatives in self._words]

    def start(self, tokens: Iterable[int] = ()) -> Progress:
        progress = Progress(0, -1, (), tuple(range(len(self._words))))
        for token in tokens:
            progress = self.after(progress, token)
        return progress

    def after(self, progress: Progress, token: int) -> Progress:
        """One token more."""
        met, word, path, pending = progress
        if path:
            if token not in self._next(word, path):
                return Progress(met, -1, (), (*pending, word))
            return self._stepped(met, word, (*path, token), pending)
        for place, word in enumerate(pending):
            if token in self._next(word, ()):
                return self._stepped(met, word, (token,), pending[:place] + pending[place + 1 :])
        return progress

    def advances(self, progress: Progress, aliased: bool = False) -> list[tuple[int, Progress]]:
        """Each token that brings the text further, and how far.

        `aliased`: as transformers counts, whose alternatives under way share one path: what one token adds to it, the
        next one finds there.
        """
        if not progress.path:
            tokens = [token for word in progress.pending for token in self._next(word, ())]
            return [(token, self.after(progress, token)) for token in tokens]
        found: list[tuple[int, Progress]] = []
        shared = progress
        for token in self._next(progress.word, progress.path):
            after = self.after(shared, token)
            found.append((token, after))
            if aliased and token in self._next(shared.word, shared.path):
                shared = shared._replace(path=(*shared.path, token))
        if aliased:
            found = [(t, one._replace(path=shared.path) if one.path else one) for t, one in found]
        return found

    def bank(self, progress: Progress) -> int:
        """How much of the constraints is fulfilled, in tokens, each constraint counting as much as the longest."""
        most = max(self._lengths)
        under_way = most - (self._lengths[progress.word] - len(progress.path)) if progress.path else 0
        return progress.met * most + under_way

    def _next(self, word: int, path: Phrase) -> list[int]:
        """The tokens that may follow, without repetition, in the order of the alternatives."""
        size = len(path)
        return list(dict.fromkeys(p[size] for p in self._words[word] if len(p) > size and p[:size] == path))

    def _stepped(self, met: int, word: int, path: Phrase, pending: tuple[int, ...]) -> Progress:
        if path in self._words[word]:
            return Progress(met + 1, -1, (), pending)
        return Progress(met, word, path, pending)
