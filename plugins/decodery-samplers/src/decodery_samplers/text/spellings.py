"""Every way in which tokens spell a text, one token at a time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from .tokens import Vocabulary


class Spellings:
    """Which tokens, after which, complete one of some texts: the text alone or with a space before it, in any split
    into tokens that begin and end where the text does.

    "cat" is completed by the tokens "cat" and " cat", by "at" after "c" or " c", and so on; not by "concat".
    """

    def __init__(self, words: Vocabulary, texts: Sequence[str], *, ignore_case: bool = False) -> None:
        self._words, self._fold = words, ignore_case
        self._after: defaultdict[str, set[tuple[int, int]]] = defaultdict(set)
        tokens: defaultdict[str, list[int]] = defaultdict(list)
        for token, own in enumerate(words.texts):
            if own:
                tokens[self._folded(own)].append(token)
        for place, text in enumerate(texts):
            for whole in dict.fromkeys((self._folded(text), " " + self._folded(text))):
                for cut in range(len(whole)):
                    for token in tokens.get(whole[cut:], ()):
                        self._after[whole[:cut]].add((place, token))
        self.reach = max(map(len, self._after), default=0)

    @property
    def alone(self) -> set[tuple[int, int]]:
        """(place of the text, token) for the tokens that are a whole text."""
        return self._after.get("", set())

    def completing(self, tail: Sequence[int]) -> set[tuple[int, int]]:
        """(place of the text, token) for every token that completes a text after the tokens `tail`."""
        found, before = set(self.alone), ""
        for token in reversed(tail):
            own = self._folded(self._words.text([token]))
            if not own or len(before) + len(own) > self.reach:
                break
            before = own + before
            found |= self._after.get(before, set())
        return found

    def _folded(self, text: str) -> str:
        return text.casefold() if self._fold else text
