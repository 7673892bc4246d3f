"""Tokens by their text."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Sequence
from typing import Any
from weakref import WeakKeyDictionary

from decodery.contracts.errors import InvalidInput
from decodery.contracts.protocols import Tokenizer

TokenOrText = int | str
UNKNOWN = "�"
"""What a tokenizer shows for bytes that are no whole character."""


class Vocabulary:
    """The text of every token, as it reads after another token. Never changes, so that copies are itself."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        if tokenizer.size < 1:
            raise InvalidInput(
                "the tokenizer does not say how many tokens it has, so texts cannot be looked up in it",
                remedy="give it an attribute vocab_size, or give token ids",
            )
        self.tokenizer = tokenizer
        self.texts = _texts(tokenizer)

    def __deepcopy__(self, memo: dict[int, Any]) -> Vocabulary:
        return self

    def text(self, ids: Iterable[int]) -> str:
        """The tokens' texts joined; ids beyond the tokenizer have none."""
        return "".join(self.texts[i] for i in ids if 0 <= i < len(self.texts))

    def spelling(self, text: str, *, ignore_case: bool = False) -> set[int]:
        """The tokens that read `text` by themselves, with or without a space before it."""
        wanted = _folded(text.strip(" ") or text, ignore_case)
        return {
            token
            for token, own in enumerate(self.texts)
            if own and _folded(own.strip(" ") or own, ignore_case) == wanted
        }

    def containing(self, text: str, *, ignore_case: bool = False) -> set[int]:
        """The tokens in which `text` stands."""
        wanted = _folded(text, ignore_case)
        return {token for token, own in enumerate(self.texts) if wanted in _folded(own, ignore_case)}

    def beginning(self, text: str, *, ignore_case: bool = False) -> set[int]:
        """The tokens that begin with `text`."""
        wanted = _folded(text, ignore_case)
        return {token for token, own in enumerate(self.texts) if _folded(own, ignore_case).startswith(wanted)}


_made: WeakKeyDictionary[Tokenizer, Vocabulary] = WeakKeyDictionary()
_making = threading.Lock()


def vocabulary(tokenizer: Tokenizer) -> Vocabulary:
    """The tokenizer's vocabulary, read once: a large one takes a second."""
    with _making:
        try:
            if tokenizer not in _made:
                _made[tokenizer] = Vocabulary(tokenizer)
            return _made[tokenizer]
        except TypeError:  # an object that cannot be referred to weakly
            return Vocabulary(tokenizer)


def need_tokenizer(tokenizer: Tokenizer | None, owner: str, text: object) -> Tokenizer:
    """Raises `InvalidInput` saying which text there is no tokenizer for."""
    if tokenizer is None:
        raise InvalidInput(
            f"{owner}: {text!r} is a text, and no tokenizer is known here",
            remedy="pass tokenizer=, or give token ids",
        )
    return tokenizer


def token_ids(
    tokens: Sequence[TokenOrText], tokenizer: Tokenizer | None, owner: str, *, ignore_case: bool = False
) -> set[int]:
    """Ids as they are; a text stands for every token that reads so, with or without a space before it.

    Raises `InvalidInput` for a text without a tokenizer, and for one that no token reads.
    """
    found = {token for token in tokens if isinstance(token, int)}
    for text in (token for token in tokens if isinstance(token, str)):
        known = need_tokenizer(tokenizer, owner, text)
        reading = vocabulary(known).spelling(text, ignore_case=ignore_case) or single(known, text)
        if not reading:
            raise InvalidInput(
                f"{owner}: no token of the vocabulary reads {text!r}",
                remedy="give a text of one token, or ids",
            )
        found |= reading
    return found


def single(tokenizer: Tokenizer, text: str) -> set[int]:
    """The one token that the tokenizer makes of `text`, if it is one: special tokens have no text of their own."""
    ids = tokenizer.encode(text, special=False)
    return set(ids) if len(ids) == 1 else set()


def _folded(text: str, ignore_case: bool) -> str:
    return text.casefold() if ignore_case else text


def _texts(tokenizer: Tokenizer) -> list[str]:
    """Tokenizers strip the space before the first word that they decode, so that each token is read after another."""
    before, shown = _anchor(tokenizer)
    texts = []
    for token in range(tokenizer.size):
        whole = tokenizer.decode([*before, token])
        texts.append(whole[len(shown) :] if whole.startswith(shown) else whole)
    return texts


def _anchor(tokenizer: Tokenizer) -> tuple[list[int], str]:
    """A token with a plain text, and that text."""
    for text in ("a", "x", "0", "."):
        ids: Collection[int] = tokenizer.encode(text, special=False)
        if len(ids) == 1:
            return list(ids), tokenizer.decode(list(ids))
    return [], ""
