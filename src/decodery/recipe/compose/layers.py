"""A file and those that it extends -> one tree."""

from __future__ import annotations

from dataclasses import dataclass

from ...host.registry import Host
from ..keys import DEFAULTS
from ..names import Names
from ..report import Problems, Source, Span
from ..syntax.nodes import Budget, Entry, MappingNode, Node, ScalarNode, SequenceNode, is_refused
from ..syntax.text import read
from ..tree import parse
from . import patch
from .sources import Found, NotFound, fetch_base
from .version import is_version

MAX_CHAIN = 8
"""Files that extend one another. Nobody can follow more, and each costs time."""
_OWN = ("name", "description")


@dataclass(frozen=True, slots=True)
class Composed:
    """The tree of a recipe; `whole` is False where a base is missing, so that changes to it mean nothing."""

    root: MappingNode
    whole: bool


@dataclass(frozen=True, slots=True)
class _File:
    found: Found
    root: MappingNode


def compose(found: Found, host: Host, names: Names, problems: Problems) -> Composed | None:
    """Defaults < base < child < patch, for the recipe `found`; None when nothing of it can be read."""
    files, whole = _chain(found, host, problems)
    if not files:
        return None
    root = _defaults()
    for file in reversed(files):
        change = file.root.get("patch")
        _lay(root, file.root)
        if change is not None and whole:
            _mark(change.value, "patch")
            patch.apply(root, change.value, names, problems)
    return Composed(root, whole)


def own_tree(found: Found) -> MappingNode:
    """What the file says itself, without what it extends; for a file that has been read without problems."""
    root = _read(found, None, Budget(), Problems())
    return root if root is not None else MappingNode(Span(Source(found.name)))


def _defaults() -> MappingNode:
    """The defaults as a tree, so that patches and overrides reach them like anything else."""
    made = parse(DEFAULTS, Source("<default>", tuple(DEFAULTS.split("\n"))), Problems())
    return made if isinstance(made, MappingNode) else MappingNode(Span(Source("<default>")))


def _chain(found: Found, host: Host, problems: Problems) -> tuple[list[_File], bool]:
    """The file and those that it extends, the last one at the bottom; and whether that is all of them."""
    files: list[_File] = []
    budget = Budget()
    via: Span | None = None
    while True:
        root = _read(found, via, budget, problems)
        if root is None:
            return files, False
        if not is_version(root, problems):
            return files, False  # what another version means by the rest is not known here
        files.append(_File(found, root))
        entry = root.get("extends")
        if entry is None:
            return files, True
        reference = _reference(entry.value, problems)
        if reference is None:
            return files, False
        via = entry.value.span
        base = _base(reference, via, files, host, problems)
        if base is None:
            return files, False
        found = base


def _read(found: Found, via: Span | None, budget: Budget, problems: Problems) -> MappingNode | None:
    before = len(problems)
    text = read(found.raw, found.name, problems, via=via, budget=budget)
    if text is None:
        return None
    source, clean = text
    root = parse(clean, source, problems, budget=budget)
    if isinstance(root, MappingNode):
        return root
    if len(problems) == before:
        what = "a list" if isinstance(root, SequenceNode) else "text"
        if root is None or (isinstance(root, ScalarNode) and root.value is None):
            what = "empty"
        place = root.span if root else Span(source, 1, 1, 1)
        problems.add(
            place, "shape", f"the recipe is {what}; it should be a mapping", "begin with 'recipe: 1'"
        )
    return None


def _reference(node: Node, problems: Problems) -> str | None:
    """The path or name that `extends` holds."""
    if is_refused(node):
        return None
    if isinstance(node, ScalarNode) and isinstance(node.value, str) and 0 < len(node.text) <= 1000:
        return node.text
    message = "extends is the path of one recipe, or its name"
    remedy = (
        "write 'extends: ./chat.yaml' for a file beside this one, 'extends: chat' for a recipe in the box"
    )
    if isinstance(node, SequenceNode):
        remedy = "a recipe extends one other, which can extend the next"
    problems.add(node.span, "extends", message, remedy, "extends")
    return None


def _base(reference: str, via: Span, files: list[_File], host: Host, problems: Problems) -> Found | None:
    try:
        base = fetch_base(reference, files[-1].found.place, host)
    except NotFound as error:
        problems.add(via, "not-found", f"{reference!r}: {error.message}", error.remedy, "extends")
        return None
    known = [file.found.identity for file in files]
    if base.identity in known:
        chain = [file.found.name for file in files[known.index(base.identity) :]]
        message = f"the recipe extends itself: {' -> '.join([*chain, base.name])}"
        problems.add(via, "extends-cycle", message, "take this line out, or name another recipe", "extends")
        return None
    if len(files) >= MAX_CHAIN:
        message = f"more than {MAX_CHAIN} recipes extend one another here"
        problems.add(via, "extends", message, "write what they say into fewer files", "extends")
        return None
    return base


def _lay(root: MappingNode, layer: MappingNode) -> None:
    """Lay a file over what it extends: its keys replace those of the same name; requirements come together."""
    root.span = layer.span
    root.entries = [entry for entry in root.entries if entry.key.text not in _OWN]
    for entry in layer.entries:
        if entry.key.text in ("extends", "patch") and not entry.key.refused:
            continue
        old = None if entry.key.refused else root.get(entry.key.text)
        if old is None:
            root.entries.append(entry)
        elif entry.key.text == "requires" and _both_lists(old.value, entry.value):
            old.value.items += entry.value.items  # type: ignore[union-attr]
        else:
            root.entries[root.entries.index(old)] = Entry(entry.key, entry.value)


def _both_lists(first: Node, second: Node) -> bool:
    return isinstance(first, SequenceNode) and isinstance(second, SequenceNode)


def _mark(node: Node, layer: str) -> None:
    """Note in every span below `node` what part of the file it is."""
    source = node.span.source
    marked = Source(source.name, source.lines, source.via, layer)
    waiting: list[Node] = [node]
    while waiting:
        node = waiting.pop()
        node.span = _moved(node.span, marked)
        if isinstance(node, SequenceNode):
            waiting += node.items
        elif isinstance(node, MappingNode):
            for entry in node.entries:
                waiting += (entry.key, entry.value)


def _moved(span: Span, source: Source) -> Span:
    return Span(source, span.line, span.column, span.length)
