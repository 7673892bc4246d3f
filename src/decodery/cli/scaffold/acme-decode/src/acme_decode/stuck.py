"""A stop rule: the history in, a truth a row out."""

import torch
from torch import Tensor


def is_stuck(input_ids: Tensor, times: int) -> Tensor:
    """(R, T) int64 -> (R,) bool: the newest `times` tokens of the row are all the same."""
    if input_ids.shape[1] < times:
        return torch.zeros(len(input_ids), dtype=torch.bool, device=input_ids.device)
    newest = input_ids[:, -times:]  # (R, T) -> (R, times)
    return (newest == newest[:, -1:]).all(dim=-1)


class Stuck:
    def __init__(self, *, times: int) -> None:
        self.times = times

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """(R, T) int64 ending in the newest token, (R, V) float -> (R,) bool."""
        return is_stuck(input_ids, self.times)
