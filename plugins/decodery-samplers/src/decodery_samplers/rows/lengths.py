"""Reading the ids of rows of unequal length: right-padded, what lies after `lengths` may be anything."""

from __future__ import annotations

import torch
from torch import Tensor


def lengths_of(input_ids: Tensor, lengths: Tensor | None) -> Tensor:
    """`lengths`, or the full width for every row when the caller has none: (R, T) int64 -> (R,) int64."""
    if lengths is not None:
        return lengths
    return input_ids.new_full((input_ids.shape[0],), input_ids.shape[1])


def newest(input_ids: Tensor, lengths: Tensor, count: int) -> list[list[int]]:
    """The newest `count` ids of each row at most, oldest first, on the host: (R, T) int64, (R,) int64."""
    count = min(count, input_ids.shape[1])
    back = torch.arange(-count, 0, device=input_ids.device)
    tail = input_ids.gather(1, (lengths[:, None] + back).clamp(min=0))  # (R, T) -> (R, count)
    rows: list[list[int]] = torch.cat((tail, lengths[:, None]), dim=1).tolist()  # one copy to the host
    return [ids[max(count - length, 0) :] for *ids, length in rows]
