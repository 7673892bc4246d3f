"""One face for every tokenizer: transformers', `tokenizers`', sentencepiece's, tiktoken's, or any object with encode
and decode."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ...contracts.errors import InvalidInput
from ...contracts.protocols import Tokenizer
from .pieces import SentencePieces, Tiktoken, id_of, ids_of, size_of, within


def as_tokenizer(tokenizer: Any) -> Tokenizer:
    """Wrap `tokenizer`. Raises `InvalidInput` for an object that can neither encode nor decode."""
    if isinstance(tokenizer, (_Library, _Transformers, _Plain, SentencePieces, Tiktoken)):
        return tokenizer
    if hasattr(tokenizer, "convert_tokens_to_ids") and callable(tokenizer):
        return _Transformers(tokenizer)
    if _has(tokenizer, "EncodeAsIds", "DecodeIds") or _has(tokenizer, "encode_as_ids", "decode_ids"):
        return SentencePieces(tokenizer)
    if _has(tokenizer, "encode", "decode"):
        if _has(tokenizer, "encode_ordinary", "decode_single_token_bytes"):
            return Tiktoken(tokenizer)
        return _Library(tokenizer) if _has(tokenizer, "get_vocab_size", "token_to_id") else _Plain(tokenizer)
    raise InvalidInput(
        f"{type(tokenizer).__name__} is no tokenizer",
        remedy="give an object with encode(text) -> ids and decode(ids) -> text",
    )


def _has(tokenizer: Any, *methods: str) -> bool:
    return all(callable(getattr(tokenizer, method, None)) for method in methods)


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
    """Anything else with `encode(text)` and `decode(ids)`: a character table of one's own, the tokenizer beside a
    model's published weights.

    An `encode` that asks whether to begin and to end the text (`bos`, `eos`, `add_bos`, `add_eos`) is told: a prompt
    is begun where special tokens are wanted, and never ended. Ids beyond the tokenizer's size have no text.
    """

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.bos, self.pad = id_of(inner, "bos"), id_of(inner, "pad")
        self.eos = ids_of(inner, "eos")
        self.size = size_of(inner)
        self._takes = _parameters(inner.encode)

    def encode(self, text: str, special: bool = True) -> list[int]:
        told: dict[str, bool] = {}
        for begin, end in (("bos", "eos"), ("add_bos", "add_eos")):
            if end in self._takes:
                told[end] = False
            # With a default of its own the tokenizer knows better whether a text begins with BOS.
            if begin in self._takes and (not special or self._takes[begin]):
                told[begin] = special
        return _listed(self.inner.encode(text, **told), self.inner)

    def decode(self, ids: Sequence[int]) -> str:
        text = self.inner.decode(within(ids, self.size))
        if isinstance(text, str):
            return text
        if not isinstance(text, bytes):
            raise InvalidInput(
                f"{type(self.inner).__name__}.decode gives {text!r:.60}", remedy="it must give a text"
            )
        return text.decode(errors="replace")


def _parameters(encode: Callable[..., Any]) -> dict[str, bool]:
    """The parameters that can be given by name -> whether they must be given."""
    try:
        found = inspect.signature(encode).parameters.values()
    except (TypeError, ValueError):  # some builtins have no signature
        return {}
    by_name = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return {each.name: each.default is inspect.Parameter.empty for each in found if each.kind in by_name}


def _listed(ids: Any, inner: Any) -> list[int]:
    """What `encode` gave, as a list: a list, an array or tensor, something that has them as `ids` or `input_ids`."""
    if isinstance(ids, Mapping) and "input_ids" in ids:
        ids = ids["input_ids"]
    ids = getattr(ids, "ids", ids)
    ids = ids.tolist() if hasattr(ids, "tolist") else ids
    try:
        ids = list(ids)
        if len(ids) == 1 and isinstance(ids[0], (list, tuple)):  # a batch of one text
            ids = list(ids[0])
        return [int(token.__index__()) for token in ids]
    except (TypeError, AttributeError):
        raise InvalidInput(
            f"{type(inner).__name__}.encode gives {ids!r:.60}", remedy="it must give a list of token ids"
        ) from None
