"""`patch:`: a recipe as changes to another one. Each is made in the tree, one after another."""

from __future__ import annotations

import difflib
from collections.abc import Callable

from ...contracts.errors import UnknownName
from ..names import Names
from ..report import Problems, Span
from ..syntax.nodes import Entry, MappingNode, Node, ScalarNode, SequenceNode, is_refused
from .edits import Spot, find, name_of, read_target, set_value

_WHERE = ("after", "before", "at")
_EXAMPLE = "write one change an item: '- set: {temperature: 1.2}' or '- drop: [top_k]'"
_TARGET = "write NAME, NAME#2 for the second of that name, or NAME.PARAMETER"


def apply(root: MappingNode, patch: Node, names: Names, problems: Problems) -> None:
    """Make the changes of `patch` in `root`."""
    if is_refused(patch) or (isinstance(patch, ScalarNode) and patch.value is None):
        return
    if not isinstance(patch, SequenceNode):
        problems.add(patch.span, "patch", "patch is a list of changes", _EXAMPLE, "patch")
        return
    patcher = _Patcher(root, names, problems)
    for index, item in enumerate(patch.items):
        if problems.full:
            return
        patcher.take(item, f"patch[{index}]")


class _Patcher:
    def __init__(self, root: MappingNode, names: Names, problems: Problems) -> None:
        self.root, self.names, self.problems = root, names, problems
        self.operations: dict[str, Callable[[Entry, MappingNode, str], None]] = {
            "set": self._set,
            "drop": self._drop,
            "replace": self._replace,
            "insert": self._insert,
        }

    def take(self, item: Node, path: str) -> None:
        """One change."""
        if not isinstance(item, MappingNode) or not item.entries:
            self._complain(item.span, "a change is a mapping", _EXAMPLE, path)
            return
        if not self._known_keys(item, path):
            return
        found = [entry for entry in item.entries if entry.key.text in self.operations]
        if len(found) != 1:
            span = found[1].key.span if found else item.entries[0].key.span
            what = "one change is one of" if found else "a change begins with one of"
            remedy = f"begin a new item with '-' for {found[1].key.text!r}" if found else _EXAMPLE
            self._complain(span, f"{what}: {', '.join(self.operations)}", remedy, path)
            return
        self.operations[found[0].key.text](found[0], item, f"{path}.{found[0].key.text}")

    def _known_keys(self, item: MappingNode, path: str) -> bool:
        known = (*self.operations, *_WHERE)
        inserts = item.get("insert") is not None
        good = True
        for entry in item.entries:
            key = entry.key
            if key.text in self.operations or (inserts and key.text in _WHERE):
                continue
            good = False
            if key.refused:
                continue
            if key.text in _WHERE:
                remedy = "it says where 'insert' puts a step; take it out"
            else:
                close = difflib.get_close_matches(key.text[:50], known, n=1)
                remedy = f"did you mean {close[0]!r}?" if close else f"a change has: {', '.join(known)}"
            self._complain(key.span, f"a change has no key {key.text!r} here", remedy, path)
        return good

    def _set(self, change: Entry, _item: MappingNode, path: str) -> None:
        values = change.value
        if not isinstance(values, MappingNode) or not values.entries:
            self._complain(values.span, "set is a mapping", "write '- set: {temperature: 1.2}'", path)
            return
        for entry in values.entries:
            key = entry.key
            if key.refused:
                continue
            target = read_target(key.text, key.span, "patch", path, exact=key.plain)
            if target is None:
                self._complain(key.span, f"{key.text[:60]!r} names no step or key", _TARGET, path)
            else:
                set_value(self.root, target, entry.value, self.names, self.problems)

    def _drop(self, change: Entry, _item: MappingNode, path: str) -> None:
        value = change.value
        spots = [
            self._spot(name, path) for name in (value.items if isinstance(value, SequenceNode) else [value])
        ]
        # By object, and only now: `drop: [top_p#1, top_p#2]` counts in the recipe as it was before.
        gone = {id(spot.items[spot.index]) for spot in spots if spot is not None}
        for spot in spots:
            if spot is not None:
                spot.items[:] = [item for item in spot.items if id(item) not in gone]

    def _replace(self, change: Entry, _item: MappingNode, path: str) -> None:
        values = change.value
        if not isinstance(values, MappingNode) or not values.entries:
            remedy = "write '- replace: {top_p: {min_p: 0.05}}'"
            self._complain(values.span, "replace is a mapping from a step to another", remedy, path)
            return
        for entry in values.entries:
            spot = self._spot(entry.key, path)
            if spot is not None:
                spot.items[spot.index] = entry.value

    def _insert(self, change: Entry, item: MappingNode, path: str) -> None:
        where = [entry for entry in item.entries if entry.key.text in _WHERE]
        if len(where) > 1:
            remedy = f"keep {where[0].key.text!r} or {where[1].key.text!r}"
            self._complain(where[1].key.span, "a step goes to one place", remedy, path)
            return
        value = change.value
        steps = value.items if isinstance(value, SequenceNode) else [value]
        if not steps:
            remedy = "write '- insert: {min_p: 0.05}'"
            self._complain(value.span, "there is nothing to insert", remedy, path)
            return
        spot = self._place(steps[0], where[0] if where else None, path)
        if spot is not None:
            spot.items[spot.index : spot.index] = steps

    def _place(self, step: Node, where: Entry | None, path: str) -> Spot | None:
        """In front of what, in which list; None after a problem."""
        if where is not None and where.key.text != "at":
            anchor = self._spot(where.value, f"{path.rpartition('.')[0]}.{where.key.text}")
            if anchor is None:
                return None
            return Spot(anchor.items, anchor.index + (where.key.text == "after"), anchor.key)
        key = self._list_of(step)
        items = self._items(key)
        if items is None:
            return None  # the list is no list, which the check tells
        if where is None:
            return Spot(items, len(items), key)
        place = where.value.value if isinstance(where.value, ScalarNode) else None
        if isinstance(place, int) and not isinstance(place, bool) and 0 <= place <= len(items):
            return Spot(items, place, key)
        if not is_refused(where.value):
            message = f"at is a place in {key}: a whole number from 0 to {len(items)}"
            remedy = "0 is before the first; without 'at' a step goes to the end"
            self._complain(where.value.span, message, remedy, f"{path.rpartition('.')[0]}.at")
        return None

    def _list_of(self, step: Node) -> str:
        name = name_of(step)
        try:
            role = self.names.step(name.text)[1].role if name is not None else "processor"
        except UnknownName:
            role = "processor"
        return "stop" if role == "stop" else "processors"

    def _items(self, key: str) -> list[Node] | None:
        entry = self.root.get(key)
        if entry is None or (isinstance(entry.value, ScalarNode) and entry.value.value is None):
            span = entry.value.span if entry else self.root.span
            made = SequenceNode(span)
            if entry:
                entry.value = made
            else:
                self.root.entries.append(Entry(ScalarNode(span, key, key), made))
            return made.items
        return entry.value.items if isinstance(entry.value, SequenceNode) else None

    def _spot(self, node: Node, path: str) -> Spot | None:
        """The step that `node` names; None after a problem."""
        if is_refused(node):
            return None
        target = None
        if isinstance(node, ScalarNode) and isinstance(node.value, str):
            target = read_target(node.text, node.span, "patch", path, exact=node.plain)
        if target is None or target.param is not None:
            said = repr(node.text[:60]) if isinstance(node, ScalarNode) and node.text else "this"
            remedy = "write NAME, or NAME#2 for the second of that name"
            self._complain(node.span, f"the name of a step belongs here, which {said} is not", remedy, path)
            return None
        return find(self.root, target, self.names, self.problems)

    def _complain(self, span: Span, message: str, remedy: str, path: str) -> None:
        self.problems.add(span, "patch", message, remedy, path)
