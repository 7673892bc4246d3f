"""Copies of a caller's objects for a new run or a new row: state is copied, what is only referred to is shared."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from types import MethodType
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
    if isinstance(value, MethodType):
        inner = [value.__self__]
    elif isinstance(value, partial):
        inner = [value.func, value.args, value.keywords]
    elif isinstance(value, Mapping):
        inner = list(value.values())
    elif isinstance(value, (list, tuple, set, frozenset)):
        inner = list(value)
    else:
        inner = [getattr(value, name) for name in _slots(type(value)) if hasattr(value, name)]
        inner += list(getattr(value, "__dict__", {}).values())
    for item in inner:
        yield from _parts(item, seen)


def _slots(kind: type) -> Iterator[str]:
    """The names of all slots, private ones as Python stores them."""
    for base in kind.__mro__:
        slots = base.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            private = name.startswith("__") and not name.endswith("__")
            yield f"_{base.__name__.lstrip('_')}{name}" if private else name
