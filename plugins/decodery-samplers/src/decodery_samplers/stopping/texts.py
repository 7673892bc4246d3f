"""Stop rules that read the new text."""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch
from torch import Tensor

from decodery.contracts.errors import InvalidInput
from decodery.contracts.protocols import Tokenizer

from ..rows.lengths import lengths_of
from ..text.tokens import vocabulary

SENTENCE = re.compile(r"[.!?…。！？]+[\"'”’)\]]*(?=\s|$)")
"""The end of a sentence, with the quotes and brackets that close behind it."""


class _Reads:
    """Asks `_ends(text, old)` of each row: its new text, and how much of it was there before the newest token."""

    def __init__(self, tokenizer: Tokenizer, prompt_lengths: Tensor) -> None:
        self.words, self.prompt_lengths = vocabulary(tokenizer), prompt_lengths

    def _ends(self, text: str, old: int) -> bool:
        raise NotImplementedError

    def __call__(
        self,
        input_ids: Tensor,
        scores: Tensor,
        *,
        lengths: Tensor | None = None,
        prompt_lengths: Tensor | None = None,
    ) -> Tensor:
        """(R, T) int64, (R, V), (R,) int64, (R,) int64 -> (R,) bool. One copy to the host."""
        prompt_lengths = self.prompt_lengths if prompt_lengths is None else prompt_lengths
        ends = lengths_of(input_ids, lengths)
        begin = int(prompt_lengths.min()) if len(prompt_lengths) else 0
        rows = zip(input_ids[:, begin:].tolist(), prompt_lengths.tolist(), ends.tolist(), strict=True)
        done = [self._row(ids[max(prompt - begin, 0) : end - begin]) for ids, prompt, end in rows]
        return torch.tensor(done, dtype=torch.bool, device=input_ids.device)

    def _row(self, new: Sequence[int]) -> bool:
        if not new:
            return False
        text = self.words.text(new)
        return self._ends(text, len(text) - len(self.words.text(new[-1:])))


class StopRegex(_Reads):
    """Ends a row when its new text has a match of `pattern`, a regular expression of Python's `re`, anywhere.

    SGLang's stop_regex.
    """

    def __init__(self, *, pattern: str, tokenizer: Tokenizer, prompt_lengths: Tensor) -> None:
        super().__init__(tokenizer, prompt_lengths)
        try:
            self.pattern = re.compile(pattern)
        except re.error as error:
            raise InvalidInput(
                f"stop_regex: {pattern!r}: {error}", remedy="mend the regular expression"
            ) from None

    def _ends(self, text: str, old: int) -> bool:
        return self.pattern.search(text) is not None


class StopPhrasesAny(_Reads):
    """Ends a row when one of `phrases` is complete in its new text; with `ignore_case` in whatever letters, with
    `whole_words` not inside of a word."""

    def __init__(
        self,
        *,
        phrases: Sequence[str],
        tokenizer: Tokenizer,
        prompt_lengths: Tensor,
        ignore_case: bool = False,
        whole_words: bool = False,
    ) -> None:
        super().__init__(tokenizer, prompt_lengths)
        one = "|".join(re.escape(phrase) for phrase in phrases)
        # A word that the text ends with may go on: it counts when something else came after it.
        whole = rf"(?<!\w)(?:{one})(?=\W)"
        self.pattern = re.compile(whole if whole_words else one, re.IGNORECASE if ignore_case else 0)

    def _ends(self, text: str, old: int) -> bool:
        return self.pattern.search(text) is not None


class Sentences(_Reads):
    """Ends a row after so many sentences of new text.

    A sentence ends in a full stop, an exclamation or a question mark before a space or at the end of the text; so an
    abbreviation counts as one too.
    """

    def __init__(self, *, count: int, tokenizer: Tokenizer, prompt_lengths: Tensor) -> None:
        super().__init__(tokenizer, prompt_lengths)
        self.count = count

    def _ends(self, text: str, old: int) -> bool:
        return len(SENTENCE.findall(text)) >= self.count
