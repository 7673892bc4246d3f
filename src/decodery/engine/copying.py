"""Copies of a caller's objects for a new run or a new row: state is copied, what is only referred to is shared."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from torch import nn


def fresh_copy(target: Any, exchange: Callable[[Any], Any] | None = None) -> Any:
    """A deep copy of `target`. Models inside it are shared: to a processor they are weights, not state.

    `exchange` may give another object in the place of one found inside (None: copy it as usual). Raises whatever
    `copy.deepcopy` does for an object that cannot be copied.
    """
    memo: dict[int, Any] = {}
    for part in _parts(target, set()):
        put = part if isinstance(part, nn.Module) else exchange(part) if exchange is not None else None
        if put is not None:
            memo[id(part)] = put
    return copy.deepcopy(target, memo)


def _parts(value: Any, seen: set[int]) -> Iterator[Any]:
    """Every object below `value`, in attributes, slots and containers; modules are not entered."""
    if id(value) in seen or isinstance(value, (str, bytes, int, float, type)):
        return
    seen.add(id(value))
    yield value
    if isinstance(value, nn.Module):
        return
    if isinstance(value, Mapping):
        inner = list(value.values())
    elif isinstance(value, (list, tuple, set, frozenset)):
        inner = list(value)
    else:
        slots = [name for kind in type(value).__mro__ for name in getattr(kind, "__slots__", ())]
        inner = [getattr(value, name) for name in slots if hasattr(value, name)]
        inner += list(getattr(value, "__dict__", {}).values())
    for item in inner:
        yield from _parts(item, seen)
