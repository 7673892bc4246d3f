"""What a caller may hand over as prompts, made into lists of token ids."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from ...contracts.errors import InvalidInput
from ...contracts.protocols import Tokenizer

Prompts = str | Sequence[str] | Sequence[int] | Sequence[Sequence[int]] | Tensor
"""A text, texts, the ids of one prompt, of several, or a LongTensor (T,) or (B, T)."""


def as_token_lists(prompts: Prompts, tokenizer: Tokenizer | None, bos: int | None) -> list[list[int]]:
    """Each prompt's ids. An empty one becomes BOS where the model has one. Raises `InvalidInput` naming the prompt."""
    items = _items(prompts)
    if not items:
        raise InvalidInput("no prompts were given", remedy="give a text, a list of texts, or token ids")
    return [_encode(item, index, tokenizer, bos) for index, item in enumerate(items)]


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


def _items(prompts: Any) -> list[Any]:
    if isinstance(prompts, str):
        return [prompts]
    if isinstance(prompts, Tensor):
        if prompts.is_floating_point() or prompts.dtype.is_complex or prompts.ndim not in (1, 2):
            raise InvalidInput(
                f"prompts are a {prompts.dtype} tensor of shape {tuple(prompts.shape)}",
                remedy="give token ids: a LongTensor (T,) or (B, T)",
            )
        return (prompts if prompts.ndim == 2 else prompts.unsqueeze(0)).tolist()  # type: ignore[no-any-return]
    if not isinstance(prompts, Sequence):
        raise InvalidInput(
            f"prompts are a {type(prompts).__name__}", remedy="give a text, a list, or a LongTensor"
        )
    items = list(prompts)
    return [items] if items and all(_is_id(item) for item in items) else items


def _encode(item: Any, index: int, tokenizer: Tokenizer | None, bos: int | None) -> list[int]:
    if isinstance(item, str):
        if tokenizer is None:
            raise InvalidInput(
                f"prompt {index} is text, but no tokenizer is known",
                remedy="pass tokenizer=..., or give token ids",
            )
        ids = tokenizer.encode(item)
    elif isinstance(item, Tensor):
        ids = item.reshape(-1).tolist()
    elif isinstance(item, Sequence) and all(_is_id(token) for token in item):
        ids = [int(token) for token in item]
    else:
        raise InvalidInput(f"prompt {index} is {item!r:.60}", remedy="give a text or a list of token ids")
    if ids:
        return ids
    if bos is None:
        raise InvalidInput(
            f"prompt {index} is empty, and the model has no beginning-of-text token",
            remedy="give it at least one token",
        )
    return [bos]


def _is_id(value: object) -> bool:
    return (isinstance(value, int) and not isinstance(value, bool)) or (
        hasattr(value, "__index__") and not isinstance(value, (bool, Tensor))
    )
