"""From a row's tokens to its text, as they come: nothing is shown that a later token could still change.

Bytes are held back until they decode; text is held back while it could be the beginning of a stop string. The text of a
finished row is the concatenation of what was shown, so a stream and a result never differ.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...contracts.protocols import Tokenizer

_REPLACEMENT = "\ufffd"
# How many tokens are decoded again with each new one. A tokenizer's rendering of a token depends on its neighbour
# (leading spaces, bytes of one character), never on one this far away.
_CONTEXT = 6
_PATIENCE = 8


class Detokenizer:
    """Incremental decoding. `prompt` gives the first token its left neighbour, so that its leading space survives."""

    def __init__(self, tokenizer: Tokenizer, prompt: Sequence[int]) -> None:
        self._tokenizer = tokenizer
        self._ids = list(prompt[-_CONTEXT:])
        self._begin, self._shown = 0, len(self._ids)

    def push(self, token: int) -> str:
        """The text that this token completes, often "" in the middle of a character."""
        self._ids.append(token)
        return self._take(final=False)

    def flush(self) -> str:
        """What is still held back, incomplete bytes shown as U+FFFD."""
        return self._take(final=True)

    def _take(self, final: bool) -> str:
        if self._shown == len(self._ids):
            return ""
        before = self._tokenizer.decode(self._ids[self._begin : self._shown])
        after = self._tokenizer.decode(self._ids[self._begin :])
        # No character has more than four bytes: what is still incomplete after twice as many tokens never decodes.
        if after.endswith(_REPLACEMENT) and not final and len(self._ids) - self._shown < _PATIENCE:
            return ""
        new = after[_old(before, after) :]
        if new:  # a token without text of its own is no left neighbour
            self._begin = self._shown
        self._shown = len(self._ids)
        return new


def _old(before: str, after: str) -> int:
    """How much of `after` was there before. A character that the prompt left incomplete is new once it is whole."""
    if after.startswith(before) or not before.endswith(_REPLACEMENT):
        return len(before)
    unlike = (place for place, (old, now) in enumerate(zip(before, after, strict=False)) if old != now)
    return next(unlike, len(after))


class RowText:
    """The text of one row: detokenized, and ended at a stop string."""

    def __init__(
        self, tokenizer: Tokenizer, prompt: Sequence[int], stop_strings: Sequence[str], include_stop: bool
    ) -> None:
        self._detokenizer = Detokenizer(tokenizer, prompt)
        self._stops, self._include = tuple(stop_strings), include_stop
        self._held = ""
        self.text = ""

    def push(self, token: int, reason: str | None) -> str:
        """The text to show for this token; `reason` is why the row finished with it, None while it goes on.

        The token that ended a row by its id (eos, a stop token) is no text unless the recipe includes it.
        """
        hidden = reason in ("eos", "stop_token_ids") and not self._include
        self._held += "" if hidden else self._detokenizer.push(token)
        return self.finish(reason) if reason is not None else self._release()

    def finish(self, reason: str | None) -> str:
        """The rest of a row that ends without a further token, or with the one just pushed."""
        self._held += self._detokenizer.flush()
        self._held = self._cut(self._held)  # also when another rule won the token that completed it
        shown, self._held = self._held, ""
        self.text += shown
        return shown

    def _release(self) -> str:
        keep = max((_overlap(self._held, stop) for stop in self._stops), default=0)
        shown, self._held = self._held[: len(self._held) - keep], self._held[len(self._held) - keep :]
        self.text += shown
        return shown

    def _cut(self, text: str) -> str:
        found = [(text.find(stop), stop) for stop in self._stops if stop in text]
        if not found:
            return text
        at, stop = min(found)
        return text[: at + len(stop)] if self._include else text[:at]


def _overlap(text: str, stop: str) -> int:
    """The length of the longest end of `text` that begins `stop`."""
    return next((n for n in range(min(len(text), len(stop)), 0, -1) if text.endswith(stop[:n])), 0)
