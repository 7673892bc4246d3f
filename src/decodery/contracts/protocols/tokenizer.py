"""The face that every tokenizer wears."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Tokenizer(Protocol):
    """The face that every tokenizer wears inside decodery."""

    @property
    def bos(self) -> int | None: ...

    @property
    def eos(self) -> tuple[int, ...]: ...

    @property
    def pad(self) -> int | None: ...

    @property
    def size(self) -> int:
        """How many tokens it has."""
        ...

    def encode(self, text: str, special: bool = True) -> list[int]:
        """Token ids; with `special` the model's own beginning-of-text is added, as its tokenizer would."""
        ...

    def decode(self, ids: Sequence[int]) -> str:
        """Text without special tokens; incomplete UTF-8 shows as U+FFFD."""
        ...
