"""What our calls put on a module, so that exactly this is undone, and nothing that its owner did meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from operator import is_
from typing import Any

from torch import nn

MISSING: Any = object()
REGISTRIES = ("_parameters", "_buffers", "_modules")


Store = tuple[dict[Any, Any], dict[Any, Any], int, bool]
"""A dict of a module tree, a shallow copy, its group, and whether its order has a meaning. Dicts of one group share
their names: an attribute moves between a module's own dict and its registries. A tuple, as a small model has
thousands and a call of the decoder notes them five times."""

_NOTHING: dict[Any, Any] = {}


@dataclass(eq=False, slots=True)
class Change:
    """`key` was `original` before us, and we left it as `left`; `order` is that of all keys before us, where
    order has a meaning."""

    live: dict[Any, Any]
    key: Any
    original: Any
    left: Any
    order: list[Any]


@dataclass(eq=False, slots=True)
class ListChange:
    live: list[Any]
    original: list[Any]
    left: list[Any]


class State:
    """A module tree's attributes, dicts and lists, copied shallowly."""

    def __init__(self, module: nn.Module | None) -> None:
        self.stores: list[Store] = []
        self.lists: list[tuple[list[Any], list[Any]]] = []
        parts = list(module.modules()) if module is not None else []
        theirs = "_parameters" if any(map(_sharded, parts)) else ""
        for part in parts:
            own = part.__dict__
            self.stores.append((own, dict(own), id(own), False))
            for name, value in list(own.items()):
                if isinstance(value, dict) and name != theirs:
                    group = id(own) if name in REGISTRIES else id(value)
                    self.stores.append((value, dict(value) if value else _NOTHING, group, True))
                elif isinstance(value, list):
                    self.lists.append((value, list(value)))


class Journal:
    """Changes made inside `recording()`, taken back by `undo()` where nobody has touched them since.

    What is written into a tensor in place is no change here: caches are cleared by their own reset method.
    """

    def __init__(self, module: nn.Module | None) -> None:
        self._module = module
        self._changes: dict[tuple[int, Any], dict[int, Change]] = {}
        self._lists: dict[int, ListChange] = {}

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Whatever changes inside is ours."""
        before = State(self._module)
        try:
            yield
        finally:
            self.note(before)

    @contextmanager
    def following(self) -> Iterator[None]:
        """Cheaper, for calls that change what earlier ones changed too (a counter, a list that grows)."""
        self._forget_theirs()
        try:
            yield
        finally:
            for group in self._changes.values():
                for change in group.values():
                    change.left = change.live.get(change.key, MISSING)
            for item in self._lists.values():
                item.left = list(item.live)

    def note(self, before: State) -> None:
        """What differs from `before` is ours; what differed already from what we left is not."""
        for live, found, number, ordered in before.stores:
            if _untouched(live, found) if found else not live:
                continue
            order = list(found) if ordered else []
            for key in [*found, *(key for key in list(live) if key not in found)]:
                was, now = found.get(key, MISSING), live.get(key, MISSING)
                # The train/eval flag is EvalMode's business.
                if was is now or key == "training":
                    continue
                group = self._changes.setdefault((number, key), {})
                known = group.get(id(live))
                if known is not None and known.left is was:
                    known.left = now
                else:
                    group[id(live)] = Change(live, key, was, now, order)
        for items, was_list in before.lists:
            if not _same(items, was_list):
                item = self._lists.get(id(items))
                original = item.original if item is not None and _same(item.left, was_list) else was_list
                self._lists[id(items)] = ListChange(items, original, list(items))

    def undo(self) -> None:
        """Deletes what was added and assigns what was changed, a key at a time: no dict is ever empty."""
        self._forget_theirs()
        for group in self._changes.values():
            for change in group.values():
                _put_back(change)
        for group in self._changes.values():
            for change in group.values():
                _in_order(change.live, change.order)
        for item in self._lists.values():
            item.live[:] = item.original
        self._changes, self._lists = {}, {}

    def _forget_theirs(self) -> None:
        self._changes = {
            name: group
            for name, group in self._changes.items()
            if all(change.live.get(change.key, MISSING) is change.left for change in group.values())
        }
        self._lists = {key: item for key, item in self._lists.items() if _same(item.live, item.left)}


def _sharded(part: nn.Module) -> bool:
    """Under `fully_shard`, which swaps a part's parameters for whole ones and back, and counts on finding its own."""
    return any(kind.__name__ == "FSDPModule" for kind in type(part).__mro__)


def _put_back(change: Change) -> None:
    if change.original is MISSING:
        change.live.pop(change.key, None)
    else:
        change.live[change.key] = change.original


def _in_order(live: dict[Any, Any], order: list[Any]) -> None:
    # What was taken out and put back stands last; optimisers and checkpoints count on the order that was.
    wanted = [key for key in order if key in live]
    if wanted != [key for key in list(live) if key in wanted]:
        for key in wanted:
            live[key] = live.pop(key)


def _untouched(live: dict[Any, Any], found: dict[Any, Any]) -> bool:
    """The very keys and values, in their order; False is only the slower way to the same answer."""
    same = len(live) == len(found) and all(map(is_, live, found))
    return same and all(map(is_, live.values(), found.values()))


def _same(a: list[Any], b: list[Any]) -> bool:
    return len(a) == len(b) and all(x is y for x, y in zip(a, b, strict=True))
