"""What our calls put on a module, so that exactly this is undone, and nothing that its owner did meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import nn

MISSING: Any = object()
REGISTRIES = ("_parameters", "_buffers", "_modules")


@dataclass(eq=False, slots=True)
class Store:
    """A dict of a module tree and a shallow copy. Dicts of one `group` share their names: an attribute moves
    between a module's own dict and its registries."""

    live: dict[Any, Any]
    found: dict[Any, Any]
    group: int
    ordered: bool


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
            self._keep(own, id(own), ordered=False)
            for name, value in list(own.items()):
                if isinstance(value, dict) and name != theirs:
                    self._keep(value, id(own) if name in REGISTRIES else id(value), ordered=True)
                elif isinstance(value, list):
                    self.lists.append((value, list(value)))

    def _keep(self, live: dict[Any, Any], group: int, *, ordered: bool) -> None:
        self.stores.append(Store(live, dict(live), group, ordered))


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
        for store in before.stores:
            live, found = store.live, store.found
            if len(live) == len(found) and all(live.get(k, MISSING) is v for k, v in found.items()):
                continue
            order = list(found) if store.ordered else []
            for key in [*found, *(key for key in list(live) if key not in found)]:
                was, now = found.get(key, MISSING), live.get(key, MISSING)
                # The train/eval flag is EvalMode's business.
                if was is now or key == "training":
                    continue
                group = self._changes.setdefault((store.group, key), {})
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


def _same(a: list[Any], b: list[Any]) -> bool:
    return len(a) == len(b) and all(x is y for x, y in zip(a, b, strict=True))
