"""PyYAML as far as we let it in: its pure-Python events, and its complaints in words that help.

The parser is a state machine and does not recurse. Composer, constructor and resolver stay outside: they are
where depth kills, aliases multiply and tags build objects.
"""

from __future__ import annotations

from collections.abc import Iterator

import yaml
from yaml.events import Event
from yaml.parser import Parser
from yaml.reader import Reader
from yaml.scanner import Scanner
from yaml.tokens import DirectiveToken


class EventReader(Reader, Scanner, Parser):
    """Yields events; `directives` are those met so far, which PyYAML checks but never shows."""

    def __init__(self, text: str) -> None:
        Reader.__init__(self, text)
        Scanner.__init__(self)
        Parser.__init__(self)
        self.directives: list[DirectiveToken] = []

    def scan_directive(self) -> DirectiveToken:
        token = super().scan_directive()
        self.directives.append(token)
        return token

    def events(self) -> Iterator[Event]:
        while self.check_event():
            yield self.get_event()  # type: ignore[no-untyped-call]


_QUOTE = "put text with special characters in quotes"
_REMEDIES = (
    ("found character '\\t'", "indent with spaces, not with tabs"),
    ("mapping values are not allowed", "check the indentation; put text that contains ': ' in quotes"),
    ("could not find expected ':'", "write 'name: value', with a space after the colon"),
    ("found unexpected end of stream", "a quote is opened and never closed"),
    ("expected ',' or", "close the bracket, and put commas between the values"),
    (
        "expected <block end>",
        "indent the items of one list, and the keys of one mapping, by the same number of spaces",
    ),
    ("sequence entries are not allowed", "a list begins on its own line, below its key"),
    ("found unknown escape character", "double the backslash, or use single quotes"),
    ("expected escape sequence", "finish the escape, or use single quotes"),
    ("undefined tag handle", "take the tag out; values need none"),
    ("expected the node content", "a value is missing here, or a comma is too many"),
)


def complaint(error: yaml.MarkedYAMLError) -> tuple[str, str]:
    """(message, remedy) of a syntax error."""
    what = (error.problem or error.context or "cannot be read").replace("<stream end>", "the end of the file")
    remedy = next((remedy for words, remedy in _REMEDIES if words in what), _QUOTE)
    if remedy is _QUOTE and "expected '<document start>'" in what:
        remedy = "a recipe is one mapping; check brackets, quotes and indentation above this line"
    where = f" {error.context}" if error.context and error.problem else ""
    return f"not YAML:{where}: {what}" if where else f"not YAML: {what}", remedy
