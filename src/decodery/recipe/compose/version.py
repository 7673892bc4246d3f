"""`recipe: 1`: which version of the language a file is in."""

from __future__ import annotations

from ..keys import VERSION
from ..report import Problems, Span
from ..syntax.nodes import MappingNode, ScalarNode, is_refused


def is_version(root: MappingNode, problems: Problems) -> bool:
    """False when the file is for a later version, so that nothing else in it means anything."""
    entry = root.get("recipe")
    if entry is None:
        place = Span(root.span.source, root.span.line, root.span.column, 1)
        problems.add(
            place,
            "version",
            "the key 'recipe' is missing: it says which version of the language this is",
            f"begin with 'recipe: {VERSION}'",
            "recipe",
        )
        return True
    node = entry.value
    value = node.value if isinstance(node, ScalarNode) else None
    if is_refused(node) or (isinstance(value, int) and value is not True and value == VERSION):
        return True
    newer = isinstance(value, int) and value is not True and value > VERSION
    message = (
        f"this is recipe version {value}" if newer else "'recipe' is the version of the language, a number"
    )
    remedy = "a newer decodery reads it: pip install -U decodery" if newer else f"write 'recipe: {VERSION}'"
    problems.add(node.span, "version", f"{message}; this decodery reads version {VERSION}", remedy, "recipe")
    return not newer
