"""Reading the ids of rows of unequal length.

Ids are right-padded: row r has `lengths[r]` tokens. The slots after them hold anything at all, and nothing
here lets them reach an answer.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from ...contracts.errors import InvalidInput


def lengths_of(input_ids: Tensor, lengths: Tensor | None) -> Tensor:
    """`lengths`, or the full width for every row when the caller has none: (R, T) int64 -> (R,) int64."""
    if lengths is not None:
        return lengths
    return input_ids.new_full((input_ids.shape[0],), input_ids.shape[1])


def newest(input_ids: Tensor, lengths: Tensor, count: int) -> Tensor:
    """The newest `count` ids of each row, oldest first: (R, T) int64, (R,) int64 -> (R, count) int64.

    A shorter row repeats its first id in front; the caller masks it by `lengths >= count`.
    """
    back = torch.arange(-count, 0, device=input_ids.device)
    return input_ids.gather(1, (lengths[:, None] + back).clamp(min=0))  # (R, T) -> (R, count)


def token_set(ids: Tensor, counted: Tensor, vocab_size: int) -> Tensor:
    """Which tokens of the vocabulary occur in the `counted` slots: (R, T) int64, (R, T) bool -> (R, V) bool.

    Ids outside the vocabulary are nobody's: an embedding may be larger than the output layer.
    """
    # What does not count is written to a spare column, so that it cannot undo a slot that does.
    column = torch.where(counted & (ids >= 0) & (ids < vocab_size), ids, vocab_size)
    marked = ids.new_zeros((ids.shape[0], vocab_size + 1), dtype=torch.bool).scatter_(1, column, True)
    return marked[:, :vocab_size]  # (R, V + 1) -> (R, V)


def check_ids(owner: str, ids: Iterable[int], vocab_size: int) -> None:
    """Raises `InvalidInput` naming the ids that the vocabulary has not; transformers would ignore some of them."""
    outside = sorted({token for token in ids if not 0 <= token < vocab_size})
    if outside:
        raise InvalidInput(
            f"{owner}: the token ids {outside} are outside the vocabulary of {vocab_size}",
            remedy="take the ids from this model's tokenizer",
        )
