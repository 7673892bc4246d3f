"""Which earlier texts does the end of this one repeat? An automaton that grows by a token at a time, and shrinks."""

from __future__ import annotations

from collections.abc import Callable, Sequence


def repeated_suffixes(tokens: Sequence[int], limit: int) -> list[int]:
    """For each place i, how many tokens before it equal the text's last ones: at most `limit`; O(len(tokens)).

    `tokens[i]` is what followed there. The Z-algorithm on the reversed text (Gusfield 1997, section 1.4).
    """
    back = list(reversed(tokens))
    size = len(back)
    z, left, right = [0] * size, 0, 0
    for i in range(1, size):
        length = min(right - i, z[i - left]) if i < right else 0
        while i + length < size and back[length] == back[i + length]:
            length += 1
        z[i] = length
        if i + length > right:
            left, right = i, i + length
    return [min(z[size - at], limit) if at else 0 for at in range(size)]


class SuffixAutomaton:
    """The suffix automaton of a text (Blumer et al. 1985), the longest end of the text that occurred before, and what
    followed it there. A token costs amortised O(1), whatever the length of the text; `undo` gives it back.

    `breaks(tokens) -> bool` says that the newest token ends all repetitions; `longest` caps their length.
    """

    def __init__(self, longest: int, breaks: Callable[[Sequence[int]], bool]) -> None:
        self.tokens: list[int] = []
        self.since_break: list[int] = [0]
        self._longest, self._breaks = longest, breaks
        self._next: list[dict[int, int]] = [{}]
        self._link, self._length = [-1], [0]
        self._last = self._state = self._matched = (
            0  # _state holds the longest earlier occurrence, `_matched` long
        )
        self._undo: list[
            tuple[int, int, int, int, list[tuple[int, int, int | None]], tuple[int, int] | None]
        ] = []

    def append(self, token: int) -> None:
        before = (self._last, self._state, self._matched, len(self._next))
        self.tokens.append(token)
        broken = self._breaks(self.tokens)
        self.since_break.append(0 if broken else self.since_break[-1] + 1)
        self._follow(token)
        if broken:
            self._state = self._matched = 0
        changed, moved = self._extend(token)
        self._undo.append((*before, changed, moved))

    def undo(self) -> None:
        self.tokens.pop()
        self.since_break.pop()
        self._last, self._state, self._matched, size, changed, moved = self._undo.pop()
        if moved is not None:
            self._link[moved[0]] = moved[1]
        for state, token, target in reversed(changed):
            if target is None:
                del self._next[state][token]
            else:
                self._next[state][token] = target
        del self._next[size:], self._link[size:], self._length[size:]

    def followers(self, least: int) -> dict[int, int]:
        """Token -> the length of the longest end of the text, `least` tokens or more, that it followed before."""
        found: dict[int, int] = {}
        state, length = self._state, self._matched
        # Shorter ends are further up; what follows a longer one follows them too, and keeps the longer length.
        while state and length >= least:
            for token in self._next[state]:
                found.setdefault(token, length)
            state = self._link[state]
            length = self._length[state]
        return found

    def _follow(self, token: int) -> None:
        """Lengthen the match by a token, in the automaton of the text before it, so that it ends earlier."""
        state, length = self._state, self._matched
        while state and token not in self._next[state]:
            state = self._link[state]
            length = self._length[state]
        target = self._next[state].get(token)
        state, length = (0, 0) if target is None else (target, length + 1)
        length = min(length, self._longest)
        while state and self._length[self._link[state]] >= length:
            state = self._link[state]
        self._state, self._matched = state, length

    def _extend(self, token: int) -> tuple[list[tuple[int, int, int | None]], tuple[int, int] | None]:
        """The transitions that changed, as (state, token, old target), and the link that did."""
        changed: list[tuple[int, int, int | None]] = []
        moved = None
        state, new = self._last, self._add(self._length[self._last] + 1, {})
        while state >= 0 and token not in self._next[state]:
            changed.append((state, token, None))
            self._next[state][token] = new
            state = self._link[state]
        if state < 0:
            self._link[new] = 0
        else:
            target = self._next[state][token]
            if self._length[target] != self._length[state] + 1:
                clone = self._add(self._length[state] + 1, dict(self._next[target]))
                self._link[clone] = self._link[target]
                moved = (target, self._link[target])
                while state >= 0 and self._next[state].get(token) == target:
                    changed.append((state, token, target))
                    self._next[state][token] = clone
                    state = self._link[state]
                self._link[target] = clone
                if self._state == target and self._matched <= self._length[clone]:
                    self._state = clone
                target = clone
            self._link[new] = target
        self._last = new
        return changed, moved

    def _add(self, length: int, following: dict[int, int]) -> int:
        self._next.append(following)
        self._link.append(0)
        self._length.append(length)
        return len(self._next) - 1
