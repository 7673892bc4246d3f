"""DRY (don't repeat yourself): a token that would go on with a repetition, the dearer the longer that is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import ceil, log

import torch
from torch import Tensor

from decodery.contracts.protocols import Tokenizer

from ..rows.lengths import lengths_of
from ..rows.trail import Following, Trail
from ..text.tokens import TokenOrText, Vocabulary, need_tokenizer, single, vocabulary
from .automaton import SuffixAutomaton, repeated_suffixes

DEAREST = 1e30
"""No probability is left long before; and a score less this is still a number."""


def dry_followers(
    tokens: Sequence[int], since_break: int, allowed_length: int, longest: int
) -> dict[int, int]:
    """Token -> k, the longest end of `tokens` that it followed before, where k >= `allowed_length`.

    No longer than `longest`, and not across the last breaker, `since_break` tokens ago. O(len(tokens)).
    """
    found: dict[int, int] = {}
    for place, length in enumerate(repeated_suffixes(tokens, min(since_break, longest))):
        if length >= allowed_length:
            found[tokens[place]] = max(found.get(tokens[place], 0), length)
    return found


def dry(
    scores: Tensor,
    followers: Sequence[Mapping[int, int]],
    multiplier: float,
    base: float,
    allowed_length: int,
) -> Tensor:
    """`x[t] -= multiplier * base**(k - allowed_length)`: (R, V) float, token -> k a row -> (R, V), same dtype.

    p-e-w (2024), https://github.com/oobabooga/text-generation-webui/pull/5677.
    """
    found = [
        (row, token, price(multiplier, base, k - allowed_length))
        for row, repeated in enumerate(followers)
        for token, k in repeated.items()
        if 0 <= token < scores.shape[-1]
    ]
    if not found:
        return scores
    rows, tokens, prices = zip(*found, strict=True)
    device = scores.device
    at = (torch.tensor(rows, device=device), torch.tensor(tokens, device=device))
    off = torch.tensor(prices, dtype=scores.dtype, device=device)
    return scores.index_put(at, scores[at] - off)


def price(multiplier: float, base: float, beyond: int) -> float:
    """Of a token that would go on with a repetition `beyond` tokens longer than is allowed."""
    return min(multiplier * base**beyond, DEAREST)


class Dry(Following[SuffixAutomaton]):
    """`multiplier` = 0 changes nothing. `window` = 0 is the whole text.

    `breakers` are ids or texts; a text breaks wherever it is completed, inside of a token or over several. Breakers
    of one token are not penalised. Without a window a token costs the same however long the text is.
    """

    def __init__(
        self,
        *,
        multiplier: float,
        base: float = 1.75,
        allowed_length: int = 2,
        window: int = 0,
        breakers: Sequence[TokenOrText] = (),
        max_match: int | None = None,
        padding: Tensor | None = None,
        tokenizer: Tokenizer | None = None,
    ) -> None:
        self.multiplier, self.base, self.allowed_length, self.window = (
            multiplier,
            base,
            allowed_length,
            window,
        )
        self.longest = longest_match(multiplier, base, allowed_length, max_match)
        self.breakers: frozenset[int] = frozenset()
        if multiplier:
            ids, breaks = breaker(breakers, tokenizer)
            self.breakers = frozenset(ids)
            self.trail = Trail(lambda: SuffixAutomaton(self.longest, breaks), padding)

    def __call__(
        self,
        input_ids: Tensor,
        scores: Tensor,
        *,
        lengths: Tensor | None = None,
        prompt_lengths: Tensor | None = None,
    ) -> Tensor:
        """(R, T) int64, (R, V) float, (R,) int64, (R,) int64 -> (R, V)."""
        if self.multiplier == 0:
            return scores
        followers = self.followers(input_ids, lengths_of(input_ids, lengths))
        return dry(scores, followers, self.multiplier, self.base, self.allowed_length)

    def followers(self, input_ids: Tensor, lengths: Tensor) -> list[dict[int, int]]:
        """(R, T) int64, (R,) int64 -> token -> k, a row."""
        return [self._followers(text) for text in self.trail.catch_up(input_ids, lengths)]

    def _followers(self, text: SuffixAutomaton) -> dict[int, int]:
        if self.window:
            tail = text.tokens[-self.window :]
            found = dry_followers(tail, text.since_break[-1], self.allowed_length, self.longest)
        else:
            found = text.followers(self.allowed_length)
        return {token: k for token, k in found.items() if token not in self.breakers}


def longest_match(multiplier: float, base: float, allowed_length: int, max_match: int | None) -> int:
    """The match beyond which the price does not rise: the caller's, or where it reaches `DEAREST`."""
    if base > 1 and multiplier > 0:
        dearest = allowed_length + max(ceil(log(DEAREST / multiplier) / log(base)), 0)
    else:
        dearest = allowed_length
    return dearest if max_match is None else min(dearest, max(max_match, allowed_length))


def breaker(
    breakers: Sequence[TokenOrText], tokenizer: Tokenizer | None
) -> tuple[set[int], Callable[[Sequence[int]], bool]]:
    """The tokens that break by themselves, and whether the newest of some tokens completes a breaker."""
    ids = {token for token in breakers if isinstance(token, int)}
    texts = [token for token in breakers if isinstance(token, str)]
    if not texts:
        return ids, lambda tokens: tokens[-1] in ids
    known = need_tokenizer(tokenizer, "dry: breakers", texts[0])
    words = vocabulary(known)
    for text in texts:
        ids |= words.containing(text) | single(known, text)
    return ids, _Completes(ids, [text for text in texts if len(text) > 1], words)


class _Completes:
    def __init__(self, ids: set[int], texts: Sequence[str], words: Vocabulary) -> None:
        self._ids, self._texts, self._words = frozenset(ids), tuple(texts), words
        self._reach = max(map(len, texts), default=0)

    def __call__(self, tokens: Sequence[int]) -> bool:
        if tokens[-1] in self._ids:
            return True
        if not self._texts:
            return False
        new = self._words.text(tokens[-1:])
        text = self._words.text(tokens[-self._reach :])
        return any(text.find(one, max(len(text) - len(new) - len(one) + 1, 0)) >= 0 for one in self._texts)
