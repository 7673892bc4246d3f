"""A shell's command line as words. Nothing is run, nothing is expanded."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ...report import Problems, Source, Span

_PIECE = re.compile(
    r"""
    (?P<space>(?:[ \t\n\r\f\v]|\\\r?\n)+)
  | (?P<single>'[^']*')
  | (?P<double>"(?:[^"\\]|\\.)*")
  | (?P<escape>\\.)
  | (?P<comment>\#[^\n]*)
  | (?P<shell>[|&;<>()`]|\$[({A-Za-z_])
  | (?P<open>['"\\])
  | (?P<plain>[^\s'"\\#|&;<>()`$]+|\$)
    """,
    re.VERBOSE | re.DOTALL,
)
_IN_DOUBLE = re.compile(r"\\(\r?\n|[\"\\$`])", re.DOTALL)
_EXPANDS = re.compile(r"(?<!\\)(?:\\\\)*(`|\$[({A-Za-z_])")
MAX_WORDS = 2000


@dataclass(frozen=True, slots=True)
class Word:
    """A word without its quotes, and where it begins."""

    text: str
    span: Span


def split(text: str, source: Source, problems: Problems) -> list[Word]:
    """The words of one command. Pipes, redirections, variables and the like are problems."""
    words: list[Word] = []
    parts: list[str] = []
    start = at = 0
    line, line_start = 1, 0

    def place(index: int, length: int) -> Span:
        return Span(source, line, index - line_start + 1, length)

    begun = place(0, 1)
    while at < len(text):
        match = _PIECE.match(text, at)
        kind = match.lastgroup if match else "open"
        piece = match.group() if match else text[at]
        if not parts and kind not in ("space", "comment"):
            start, begun = at, place(at, 1)
        if kind == "comment" and parts:
            kind, piece = "plain", "#"
        if kind in ("shell", "open") or (kind == "double" and _EXPANDS.search(piece[1:-1])):
            what = "a quote without its other half" if kind == "open" else f"{piece[:20]!r} is for a shell"
            remedy = "give one command as it runs, without pipes, variables or substitutions"
            problems.add(place(at, 1), "syntax", what, remedy)
            return []
        if kind == "space" and parts:
            words.append(Word("".join(parts), Span(source, begun.line, begun.column, at - start)))
            parts = []
            if len(words) > MAX_WORDS:
                problems.add(begun, "too-large", f"more than {MAX_WORDS:,} words", "give one command")
                return []
        elif kind not in ("space", "comment"):
            parts.append(_unquoted(kind or "", piece))
        breaks = piece.count("\n")
        if breaks:
            line, line_start = line + breaks, at + piece.rindex("\n") + 1
        at += len(piece)
    if parts:
        words.append(Word("".join(parts), Span(source, begun.line, begun.column, at - start)))
    return words


def _unquoted(kind: str, piece: str) -> str:
    if kind == "single":
        return piece[1:-1]
    if kind == "double":
        return _IN_DOUBLE.sub(lambda match: "" if match[1].endswith("\n") else match[1], piece[1:-1])
    return piece[1:] if kind == "escape" else piece
