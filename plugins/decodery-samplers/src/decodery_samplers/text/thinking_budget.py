"""A budget for thinking: after so many tokens the closing text is written for the model."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from decodery.contracts.errors import InvalidInput
from decodery.contracts.protocols import Tokenizer

from ..penalties.forced_tokens import forced
from ..rows.lengths import lengths_of
from ..rows.trail import Following, Trail
from .tokens import UNKNOWN, Vocabulary, vocabulary

NOT_THINKING = -1
CHARACTER = 4
"""No character of UTF-8 has more bytes, so none is spread over more tokens."""


class Thought:
    """Where one row is: not thinking, thinking for so many tokens, or so many tokens into the closing text."""

    def __init__(self, words: Vocabulary, opening: Mark, closing: Mark, budget: int) -> None:
        self._words, self._open, self._close, self._budget = words, opening, closing, budget
        self.tokens: list[int] = []
        self._states: list[tuple[int, int]] = [(NOT_THINKING, 0)]  # tokens since the opening, tokens closed

    def append(self, token: int) -> None:
        self.tokens.append(token)
        since, closed = self._states[-1]
        if since == NOT_THINKING:
            state = (0, 0) if self._open.ends(self.tokens, len(self.tokens)) else (NOT_THINKING, 0)
        elif self._close.ends(self.tokens, since + 1):
            state = (NOT_THINKING, 0)
        else:
            forced_one = since >= self._budget and self._close.ids[closed] == token
            state = (since + 1, closed + 1 if forced_one else 0)
        self._states.append(state)

    def undo(self) -> None:
        self.tokens.pop()
        self._states.pop()

    @property
    def must(self) -> int | None:
        """The token that has to come now, None where the model is free. Half a character is written to its end."""
        since, closed = self._states[-1]
        if since == NOT_THINKING or since < self._budget:
            return None
        if not closed and since < self._budget + CHARACTER and self._half_a_character(since):
            return None
        return self._close.ids[closed]

    def _half_a_character(self, since: int) -> bool:
        tail = self.tokens[-CHARACTER:] if since else []
        return bool(tail) and self._words.tokenizer.decode(tail).endswith(UNKNOWN)


class Mark:
    """A text that opens or closes: by the tokens that the tokenizer makes of it, or by any that read so."""

    def __init__(self, words: Vocabulary, text: str) -> None:
        self.ids = words.tokenizer.encode(text, special=False)
        if not self.ids:
            raise InvalidInput(
                f"thinking_budget: {text!r} is no token", remedy="give the text that the model uses"
            )
        self._words, self._text = words, text
        self._reach = max(len(text), len(self.ids))

    def ends(self, tokens: Sequence[int], most: int) -> bool:
        """Whether the last of `tokens`, of which the newest `most` count, completes the text."""
        tail = list(tokens[-min(self._reach, most) :])
        if tail[-len(self.ids) :] == self.ids:
            return True
        new = self._words.text(tail[-1:])
        text = self._words.text(tail)
        return text.find(self._text, max(len(text) - len(new) - len(self._text) + 1, 0)) >= 0


class ThinkingBudget(Following[Thought]):
    """From `budget` tokens after `open` on, the tokens of `close` are the only ones, until it is complete.

    The prompt may open the thought. A closing text of the model's own ends it as well. vLLM's and llama.cpp's
    reasoning budget.
    """

    def __init__(self, *, budget: int, tokenizer: Tokenizer, open: str, close: str) -> None:
        words = vocabulary(tokenizer)
        opening, closing = Mark(words, open), Mark(words, close)
        self.trail = Trail(lambda: Thought(words, opening, closing, budget))

    def __call__(
        self,
        input_ids: Tensor,
        scores: Tensor,
        *,
        lengths: Tensor | None = None,
        prompt_lengths: Tensor | None = None,
    ) -> Tensor:
        """(R, T) int64, (R, V) float, (R,) int64, (R,) int64 -> (R, V)."""
        thoughts = self.trail.catch_up(input_ids, lengths_of(input_ids, lengths))
        must = [thought.must for thought in thoughts]
        if all(token is None for token in must):
            return scores
        tokens = input_ids.new_tensor([0 if token is None else token for token in must])
        return forced(scores, tokens, tokens.new_tensor([token is not None for token in must]).bool())
