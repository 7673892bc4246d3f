"""sentencepiece's and tiktoken's tokenizers, and what tokenizers without a common face say of themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_SIZES = ("vocab_size", "n_vocab", "get_piece_size", "GetPieceSize", "piece_size", "n_words")


class SentencePieces:
    """sentencepiece.SentencePieceProcessor of any age, and what has its methods."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.bos, self.pad = id_of(inner, "bos"), id_of(inner, "pad")
        self.eos = ids_of(inner, "eos")
        self.size = size_of(inner)
        self._encode = _first(inner, "EncodeAsIds", "encode_as_ids")
        self._decode = _first(inner, "DecodeIds", "decode_ids")

    def encode(self, text: str, special: bool = True) -> list[int]:
        # A processor may be told once and for all to begin and to end texts: a prompt is never ended.
        told: dict[str, bool] = {"add_eos": False} if special else {"add_eos": False, "add_bos": False}
        try:
            return list(self._encode(text, **told))
        except TypeError:  # those of old, and what only has the methods' names
            return list(self._encode(text))

    def decode(self, ids: Sequence[int]) -> str:
        return str(self._decode(within(ids, self.size)) or "")


class Tiktoken:
    """tiktoken.Encoding. Special tokens in a prompt are themselves, as with other tokenizers."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.size = int(inner.n_vocab)
        self.bos: int | None = None
        self.pad: int | None = None
        special = {text: int(inner.encode_single_token(text)) for text in inner.special_tokens_set}
        end = special.get("<|endoftext|>")
        self.eos: tuple[int, ...] = () if end is None else (end,)
        self._bytes: dict[int, bytes] = dict.fromkeys(special.values(), b"")

    def encode(self, text: str, special: bool = True) -> list[int]:
        return list(self.inner.encode(text, allowed_special="all"))

    def decode(self, ids: Sequence[int]) -> str:
        return b"".join(self._of(int(token)) for token in ids).decode(errors="replace")

    def _of(self, token: int) -> bytes:
        """A token's bytes: none for a special one, nor for a number between the ranks, which models can draw."""
        if token not in self._bytes:
            try:
                self._bytes[token] = bytes(self.inner.decode_single_token_bytes(token))
            except (KeyError, OverflowError):
                return b""
        return self._bytes[token]


def id_of(inner: Any, word: str) -> int | None:
    """`bos_id`, `bos_token_id`, as an attribute or a method; sentencepiece says -1 for "none"."""
    return next(iter(ids_of(inner, word)), None)


def ids_of(inner: Any, word: str) -> tuple[int, ...]:
    """The same where there may be several."""
    for name in (f"{word}_id", f"{word}_token_id"):
        value = getattr(inner, name, None)
        value = value() if callable(value) else value
        values = value if isinstance(value, (list, tuple)) else [value]
        if values and all(isinstance(each, int) and each >= 0 for each in values):
            return tuple(values)
    return ()


def size_of(inner: Any) -> int:
    """How many tokens it has; 0 where nothing says."""
    for name in _SIZES:
        value = getattr(inner, name, None)
        value = value() if callable(value) else value
        if isinstance(value, int):
            return value
    try:
        return len(inner)
    except TypeError:
        return 0


def within(ids: Sequence[int], size: int) -> list[int]:
    """The ids that a tokenizer of this size knows (0: not known); a model's output may be wider."""
    known = [int(token) for token in ids]
    return [token for token in known if 0 <= token < size] if size else known


def _first(inner: Any, *names: str) -> Any:
    return next(found for name in names if callable(found := getattr(inner, name, None)))
