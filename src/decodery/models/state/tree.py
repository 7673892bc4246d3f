"""A model's state as a tree: tensors and counters at paths, in tuples, lists, dicts and plain objects."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from torch import Tensor, nn

Path = tuple[str, ...]
"""Where a leaf is: "0" for an item, "key" for a key, ".name" for an attribute."""

Leaf = Tensor | int
Change = Callable[[Path, Leaf], Leaf]
DEPTH = 12


def leaves(state: object) -> dict[Path, Leaf]:
    """Every tensor and whole number in `state`; shared ones once, at the first path that leads there."""
    found: dict[Path, Leaf] = {}

    def note(path: Path, leaf: Leaf) -> Leaf:
        found[path] = leaf
        return leaf

    mapped(state, note)
    return found


def mapped(state: Any, change: Change, path: Path = (), memo: dict[int, Any] | None = None) -> Any:
    """`state` with every leaf replaced by `change(path, leaf)`. Containers are new where something in them changed,
    the same otherwise; what was shared stays shared. Modules are not entered."""
    memo = {} if memo is None else memo
    if isinstance(state, bool) or state is None:
        return state
    if isinstance(state, int):
        return change(path, state)
    if id(state) in memo:
        return memo[id(state)][1]
    if isinstance(state, Tensor):
        result: Any = change(path, state)
    elif isinstance(state, (str, bytes, float, complex, type, nn.Module)) or len(path) > DEPTH:
        return state
    else:
        memo[id(state)] = (state, state)  # a circle leads back to the old one
        result = _container(state, change, path, memo)
    # The original is kept beside it: an id is only its own while the object lives.
    memo[id(state)] = (state, result)
    return result


def _container(state: Any, change: Change, path: Path, memo: dict[int, Any]) -> Any:
    parts = list(_parts(state))
    new = [mapped(value, change, (*path, name), memo) for name, _, value in parts]
    if all(after is value for after, (_, _, value) in zip(new, parts, strict=True)):
        return state
    if isinstance(state, tuple):
        return type(state)(*new) if hasattr(state, "_fields") else type(state)(new)
    if isinstance(state, list):
        result = copy.copy(state)
        result[:] = new
        return result
    result = copy.copy(state)
    for after, (_, key, value) in zip(new, parts, strict=True):
        if after is value:
            continue
        if isinstance(state, Mapping):
            result[key] = after
        else:
            object.__setattr__(result, key, after)  # frozen dataclasses too
    return result


def _parts(state: Any) -> Iterator[tuple[str, Any, Any]]:
    """(name in the path, key, value) of what a container holds; nothing for what is none."""
    if isinstance(state, (tuple, list)):
        yield from ((str(n), n, value) for n, value in enumerate(state))
    elif isinstance(state, Mapping):
        yield from ((str(key), key, value) for key, value in state.items())
    else:
        own = getattr(state, "__dict__", None) or {}
        yield from ((f".{name}", name, value) for name, value in list(own.items()))
        for name in getattr(type(state), "__slots__", ()):
            if isinstance(name, str) and hasattr(state, name):
                yield f".{name}", name, getattr(state, name)


def of_module(module: nn.Module | None) -> dict[tuple[str, str], Any]:
    """(submodule's name, attribute) -> value, for everything that could be a cache: buffers and plain attributes, no
    weights and no submodules."""
    found: dict[tuple[str, str], Any] = {}
    for name, part in module.named_modules() if module is not None else ():
        for key, value in (*vars(part).items(), *part._buffers.items()):
            if key.startswith("_") and key.endswith("_hooks"):
                continue
            if key not in ("_parameters", "_buffers", "_modules", "training") and not isinstance(
                value,
                nn.Module | nn.Parameter | Callable,  # type: ignore[arg-type]
            ):
                found[name, key] = value
    return found
