"""Sphinx: the reference pages are made from the code at build time, so they cannot fall behind it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import reference_text
import step_pictures
from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

_SECTIONS = {
    "processors": lambda: reference_text.steps("processor"),
    "stop-rules": lambda: reference_text.steps("stop"),
    "strategies": reference_text.strategies,
    "samplers-processors": lambda: reference_text.steps("processor", "decodery-samplers"),
    "samplers-stop-rules": lambda: reference_text.steps("stop", "decodery-samplers"),
    "samplers-strategies": lambda: reference_text.strategies("decodery-samplers"),
    "glance": reference_text.glance,
    "pictures": step_pictures.page,
    "samplers-pictures": lambda: step_pictures.page("decodery-samplers"),
    "errors": reference_text.error_classes,
    "hooks": reference_text.hooks,
}
_GAP = re.compile(r"\S.*?\S {2,}(?=\S)")
_CODE = re.compile(r"(`[^`]*`)")


class Reference(SphinxDirective):
    """```{decodery-reference} processors```"""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        lines = StringList(list(_SECTIONS[self.arguments[0]]()), source=f"<{self.arguments[0]}>")
        container = nodes.section()
        self.state.nested_parse(lines, self.content_offset, container, match_titles=True)
        return container.children


def plain_docstring(*event: Any) -> None:
    """Our docstrings are plain text for `help()`: make their columns lists, and their stars no markup."""
    lines: list[str] = event[-1]
    lines[:] = list(_as_rst(lines))


def _as_rst(lines: list[str]) -> Iterator[str]:
    paragraph: list[str] = []
    for line in [*lines, ""]:
        if line.strip():
            paragraph.append(line.rstrip())
        elif paragraph:
            yield from (*_paragraph(paragraph), "")
            paragraph = []


def _paragraph(lines: list[str]) -> Iterator[str]:
    """A paragraph as it is, or two columns as a definition list: terms at the margin, text below them."""
    gap = _GAP.match(lines[0])
    if not gap:
        yield from map(_escaped, lines)
        return
    column = gap.end()
    for line in lines:
        term, text = line[:column].rstrip(), line[column:]
        if line[column - 1 : column].strip():
            term, text = line, ""  # a term longer than its column
        yield from (_escaped(part) for part in (term, f"    {text}") if part.strip())


def _escaped(text: str) -> str:
    parts = [
        part if part.startswith("`") else re.sub(r"([*|_])", r"\\\1", part) for part in _CODE.split(text)
    ]
    # `Event`s: reStructuredText ends code only where no letter follows.
    return re.sub(r"(`[^`]*`)(?=\w)", r"\1\\ ", "".join(parts))


def no_signature_of_protocols(*event: Any) -> tuple[str, str] | None:
    """Nobody calls a protocol, so how it is built says nothing."""
    return ("", "") if getattr(event[3], "_is_protocol", False) else None


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("decodery-reference", Reference)
    app.connect("autodoc-process-docstring", plain_docstring)
    app.connect("autodoc-process-signature", no_signature_of_protocols)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
