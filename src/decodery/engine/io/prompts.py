"""What a caller may hand over as prompts, made into lists of token ids."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from ...contracts.errors import InvalidInput
from ...contracts.protocols import Tokenizer

Prompts = str | Sequence[str] | Sequence[int] | Sequence[Sequence[int]] | Tensor
"""A text, texts, the ids of one prompt, of several, or a LongTensor (T,) or (B, T)."""


def as_token_lists(
    prompts: Prompts, tokenizer: Tokenizer | None, bos: int | None, *, special: bool = True
) -> list[list[int]]:
    """Each prompt's ids. An empty one becomes BOS where the model has one; without `special` the tokenizer adds none
    of its own. Raises `InvalidInput` naming the prompt."""
    items = _items(prompts)
    if not items:
        raise InvalidInput("no prompts were given", remedy="give a text, a list of texts, or token ids")
    return [_encode(item, index, tokenizer, bos, special) for index, item in enumerate(items)]


def check_range(prompts: Sequence[Sequence[int]], vocab_size: int | None, max_length: int | None) -> None:
    """Refuse ids outside the vocabulary and prompts longer than the context, naming row and place."""
    for row, prompt in enumerate(prompts):
        if vocab_size is not None:
            for place, token in enumerate(prompt):
                if not 0 <= token < vocab_size:
                    raise InvalidInput(
                        f"prompt {row}, token {place}: id {token} is outside the vocabulary of {vocab_size}",
                        remedy="use the tokenizer that the model was trained with",
                    )
        if max_length is not None and len(prompt) > max_length:
            raise InvalidInput(
                f"prompt {row} has {len(prompt)} tokens; the model's context is {max_length}",
                remedy="shorten the prompt",
            )


def check_ids(vocab_size: int | None, **ids: Sequence[int]) -> None:
    """Refuse special ids that the model cannot produce: an eos among them could never end a row."""
    for name, values in ids.items():
        for value in values:
            if value < 0 or (vocab_size is not None and value >= vocab_size):
                where = "no token's id" if vocab_size is None else f"outside the vocabulary of {vocab_size}"
                raise InvalidInput(
                    f"{name} = {value} is {where}",
                    remedy="use the id that the model was trained with",
                )


def _items(prompts: Any) -> list[Any]:
    if isinstance(prompts, str):
        return [prompts]
    if hasattr(prompts, "tolist") and hasattr(prompts, "ndim"):  # a tensor or an array
        ids = _listed(prompts, "prompts are", (1, 2))
        return [ids] if prompts.ndim == 1 else ids
    if isinstance(prompts, (bytes, bytearray)) or not isinstance(prompts, Sequence):
        raise InvalidInput(
            f"prompts are a {type(prompts).__name__}",
            remedy="give a text, a list, or a LongTensor; of a tokenizer's output give its input_ids",
        )
    items = list(prompts)
    return [items] if items and all(_as_id(item) is not None for item in items) else items


def _encode(item: Any, index: int, tokenizer: Tokenizer | None, bos: int | None, special: bool) -> list[int]:
    ids = _encode_text(item, index, tokenizer, special) if isinstance(item, str) else _given_ids(item, index)
    if ids:
        return ids
    if bos is None:
        raise InvalidInput(
            f"prompt {index} is empty, and the model has no beginning-of-text token",
            remedy="give it at least one token",
        )
    return [bos]


def _encode_text(text: str, index: int, tokenizer: Tokenizer | None, special: bool) -> list[int]:
    if tokenizer is None:
        raise InvalidInput(
            f"prompt {index} is text, but no tokenizer is known",
            remedy="pass tokenizer=..., or give token ids",
        )
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidInput(
            f"prompt {index} is not valid text: a lone surrogate at character {error.start}",
            remedy="decode it from UTF-8",
        ) from None
    return tokenizer.encode(text, special)


def _given_ids(item: Any, index: int) -> list[int]:
    if hasattr(item, "tolist") and hasattr(item, "ndim"):
        if item.ndim == 2 and len(item) == 1:
            item = item[0]  # (1, T) -> (T,)
        ids: list[int] = _listed(item, f"prompt {index} is", (1,))
        return ids
    if isinstance(item, Sequence) and not isinstance(item, (bytes, bytearray)):
        found = [_as_id(token) for token in item]
        if None not in found:
            return [token for token in found if token is not None]
    raise InvalidInput(f"prompt {index} is {item!r:.60}", remedy="give a text or a list of token ids")


def _listed(ids: Any, what: str, dimensions: tuple[int, ...]) -> list[Any]:
    """A tensor or array of whole numbers as lists. Raises `InvalidInput` for another dtype or shape."""
    whole = str(ids.dtype).removeprefix("torch.").startswith(("int", "uint"))
    if not whole or ids.ndim not in dimensions:
        raise InvalidInput(
            f"{what} a {ids.dtype} tensor of shape {tuple(ids.shape)}",
            remedy="give token ids: a LongTensor (T,) or (B, T)",
        )
    listed: list[Any] = ids.tolist()
    return listed


def _as_id(value: Any) -> int | None:
    """A whole number of Python's, numpy's or torch's as an int; None for anything else."""
    if isinstance(value, bool) or getattr(value, "ndim", 0) != 0:
        return None
    try:
        return operator.index(value)
    except TypeError:
        return None
