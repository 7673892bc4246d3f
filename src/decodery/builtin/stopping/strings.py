"""Rows whose new text contains a string."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ...contracts.errors import InvalidInput
from ...contracts.protocols import Tokenizer
from ..reference.rows import lengths_of, newest

# Tokenizers strip the space before the first word they decode, and a character may be cut by the first token.
CONTEXT = 4


def completes_string(
    tokenizer: Tokenizer, context: Sequence[int], generated: Sequence[int], strings: Sequence[str]
) -> bool:
    """Whether the last of the `generated` tokens completes one of `strings`, all of it in generated text.

    `context` are the tokens just before, decoded too so that the text reads as it does in its place.
    """
    if not generated:
        return False
    ids = [*context, *generated]
    text = tokenizer.decode(ids)
    found = [string for string in strings if string in text]
    if not found:
        return False
    # What two decodings share is old; a character whose bytes were not complete differs: it counts as new.
    begin = _shared(tokenizer.decode(context), text) if context else 0
    old = _shared(tokenizer.decode(ids[:-1]), text)
    return any(text.find(string, max(begin, old - len(string) + 1)) >= 0 for string in found)


def _shared(first: str, second: str) -> int:
    """The number of characters that both begin with."""
    unlike = (place for place, (a, b) in enumerate(zip(first, second, strict=False)) if a != b)
    return next(unlike, min(len(first), len(second)))


class StopStrings:
    """Ends a row when its newest token completes a string in its generated text, spread over several tokens
    or inside one: the same moment as StopStringCriteria of transformers, less the text of the prompt.

    `strings` is what the engine trims from the text. Decodes on the host, row by row.
    """

    def __init__(
        self, *, strings: Sequence[str], tokenizer: Tokenizer | None, prompt_lengths: Tensor
    ) -> None:
        if tokenizer is None:
            raise InvalidInput(
                f"stop_strings: {list(strings)} cannot be found in tokens without a tokenizer",
                remedy="Decoder(..., tokenizer=...), or stop_token_ids",
            )
        self.strings = tuple(strings)
        self.tokenizer = tokenizer
        self.prompt_lengths = prompt_lengths
        # No token that shows in the text has less than one byte of it.
        self.tail = max(len(string.encode()) for string in self.strings) + CONTEXT

    def __call__(
        self,
        input_ids: Tensor,
        scores: Tensor,
        *,
        lengths: Tensor | None = None,
        prompt_lengths: Tensor | None = None,
    ) -> Tensor:
        """(R, T) int64, (R, V), (R,) int64, (R,) int64 -> (R,) bool."""
        lengths = lengths_of(input_ids, lengths)
        prompt_lengths = self.prompt_lengths if prompt_lengths is None else prompt_lengths
        tail = newest(input_ids, lengths, self.tail)  # (R, T) -> (R, tail)
        generated = lengths - prompt_lengths.to(lengths.device)
        # One copy to the host for all that is needed there.
        rows = torch.cat([tail, lengths[:, None], generated.expand_as(lengths)[:, None]], dim=1).tolist()
        done = [self._completed(ids[-min(length, self.tail) :], new) for *ids, length, new in rows]
        return torch.tensor(done, dtype=torch.bool, device=input_ids.device)

    def _completed(self, ids: list[int], generated: int) -> bool:
        start = max(len(ids) - generated, 0)
        return completes_string(self.tokenizer, ids[:start], ids[start:], self.strings)
