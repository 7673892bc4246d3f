"""One face for every tokenizer: transformers', `tokenizers`', or any object with encode and decode."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...contracts.errors import InvalidInput
from ...contracts.protocols import Tokenizer


def as_tokenizer(tokenizer: Any) -> Tokenizer:
    """Wrap `tokenizer`. Raises `InvalidInput` for an object that can neither encode nor decode."""
    if isinstance(tokenizer, (_Library, _Transformers, _Plain)):
        return tokenizer
    if hasattr(tokenizer, "convert_tokens_to_ids") and callable(tokenizer):
        return _Transformers(tokenizer)
    if hasattr(tokenizer, "encode") and hasattr(tokenizer, "decode"):
        return _Library(tokenizer) if hasattr(tokenizer, "get_vocab_size") else _Plain(tokenizer)
    raise InvalidInput(
        f"{type(tokenizer).__name__} is no tokenizer",
        remedy="give an object with encode(text) -> ids and decode(ids) -> text",
    )


class _Transformers:
    """transformers.PreTrainedTokenizerBase."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.bos: int | None = inner.bos_token_id
        self.pad: int | None = inner.pad_token_id
        self.size = len(inner)
        self.eos: tuple[int, ...] = () if inner.eos_token_id is None else (int(inner.eos_token_id),)

    def encode(self, text: str, special: bool = True) -> list[int]:
        return list(self.inner(text, add_special_tokens=special)["input_ids"])

    def decode(self, ids: Sequence[int]) -> str:
        # "clean up" would join " ," into "," and so change text that the model wrote.
        return str(self.inner.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False))


class _Library:
    """tokenizers.Tokenizer. It does not know which of its special tokens begin or end a text."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.size = int(inner.get_vocab_size())
        self.bos: int | None = None
        self.eos: tuple[int, ...] = ()
        self.pad: int | None = None

    def encode(self, text: str, special: bool = True) -> list[int]:
        return list(self.inner.encode(text, add_special_tokens=special).ids)

    def decode(self, ids: Sequence[int]) -> str:
        return str(self.inner.decode(list(ids), skip_special_tokens=True))


class _Plain:
    """Anything else with `encode(text)` and `decode(ids)`: sentencepiece, tiktoken, a character table of one's own."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.bos, self.pad = _id_of(inner, "bos"), _id_of(inner, "pad")
        eos = _id_of(inner, "eos")
        self.eos: tuple[int, ...] = () if eos is None else (eos,)
        self.size = _size_of(inner)

    def encode(self, text: str, special: bool = True) -> list[int]:
        return [int(token) for token in self.inner.encode(text)]

    def decode(self, ids: Sequence[int]) -> str:
        return str(self.inner.decode([int(token) for token in ids]))


def _id_of(inner: Any, word: str) -> int | None:
    """`bos_id`, `bos_token_id`, as an attribute or a method; sentencepiece says -1 for "none"."""
    for name in (f"{word}_id", f"{word}_token_id"):
        value = getattr(inner, name, None)
        value = value() if callable(value) else value
        if isinstance(value, int) and value >= 0:
            return value
    return None


def _size_of(inner: Any) -> int:
    for name in ("vocab_size", "n_vocab", "get_piece_size"):
        value = getattr(inner, name, None)
        value = value() if callable(value) else value
        if isinstance(value, int):
            return value
    try:
        return len(inner)
    except TypeError:
        return 0
