"""Small arguments that people give in many forms: token ids, special ids, devices."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ...contracts.errors import InvalidInput


def is_ids(tensor: Tensor) -> bool:
    """Whether a tensor holds whole numbers."""
    return not (tensor.is_floating_point() or tensor.dtype.is_complex or tensor.dtype == torch.bool)


def as_ids(prompt: Any) -> Tensor:
    """(B, T) int64, (T,) made (1, T). Raises `InvalidInput` for anything but whole numbers in one or two dimensions."""
    if not isinstance(prompt, Tensor) or prompt.ndim not in (1, 2) or not is_ids(prompt):
        found = (
            f"{prompt.dtype} {tuple(prompt.shape)}" if isinstance(prompt, Tensor) else type(prompt).__name__
        )
        raise InvalidInput(f"the prompt is {found}", remedy="give a LongTensor (T,) or (B, T)")
    return prompt.long() if prompt.ndim == 2 else prompt.long().unsqueeze(0)  # (T,) -> (1, T)


def as_device(device: torch.device | str) -> torch.device:
    """A device that is there. Raises `InvalidInput` for one that is not."""
    try:
        place = torch.device(device)
        torch.empty(0, device=place)
    except (RuntimeError, AssertionError, NotImplementedError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise InvalidInput(
            f"device {device!r} cannot be used: {reason}", remedy="use 'cpu', or a device that torch sees"
        ) from None
    return place


def as_eos(eos_token_id: Any) -> tuple[int, ...]:
    """None, one id or several, of Python's or numpy's numbers or a tensor -> a tuple. Raises `InvalidInput`."""
    if eos_token_id is None:
        return ()
    eos_token_id = eos_token_id.tolist() if isinstance(eos_token_id, Tensor) else eos_token_id
    try:
        ids = (eos_token_id,) if hasattr(eos_token_id, "__index__") else tuple(eos_token_id)
        if any(isinstance(token, bool) for token in ids):
            raise TypeError
        return tuple(operator.index(token) for token in ids)
    except TypeError:
        raise InvalidInput(
            f"token id {eos_token_id!r} is no id", remedy="give a whole number or a list of them"
        ) from None


def as_whole(name: str, value: Any, least: int) -> int | None:
    """None, or a whole number of Python's or numpy's that is at least `least`. Raises `InvalidInput` naming it."""
    if value is None:
        return None
    if isinstance(value, bool) or not hasattr(value, "__index__") or operator.index(value) < least:
        raise InvalidInput(f"{name} is {value!r}", remedy=f"give a whole number, at least {least}")
    return operator.index(value)


def by_role(name: str, value: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """What is given role by role, {} for None. Raises `InvalidInput` for anything but a mapping."""
    if value is not None and not isinstance(value, Mapping):
        raise InvalidInput(
            f"{name} is a {type(value).__name__}", remedy=f'give it by role: {name}={{"draft": ...}}'
        )
    return value or {}
