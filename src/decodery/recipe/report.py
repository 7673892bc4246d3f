"""Problems, and how they are printed: the way rustc does it, with the line, a caret and what to do.

A recipe is a stranger's text, so everything taken from it is shown with control, bidi and other invisible
characters and the beginnings of HTML tags escaped, long lines are cut around the caret, and a report never
exceeds `MAX_REPORT` bytes.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from .codes import Code

MAX_REPORT = 4096
MAX_PROBLEMS = 50
"""Checking stops here: nobody mends the fifty-first mistake first."""

_WIDTH = 100  # columns of a shown line
_CONTEXT = 40  # columns kept before the caret when a line is cut
_LONGEST = 240  # characters of a message or remedy
# Reports end up on pages, too. The names that we give to texts without a file are no tags.
_TAG = re.compile(r"<(?=[A-Za-z/!?])(?!(?:command line|stdin|string|dict|default)>)")


@dataclass(frozen=True, slots=True)
class Source:
    """A text with a name. `lines` are without their line breaks.

    `via` is the place that extends this file, None for the one that was asked for; `layer` says what a part of
    a text is ("patch"), "" for all else.
    """

    name: str
    lines: tuple[str, ...] = ()
    via: Span | None = None
    layer: str = ""

    @property
    def depth(self) -> int:
        """How many files stand between this one and the one that was asked for."""
        return 0 if self.via is None else self.via.source.depth + 1

    def line(self, number: int) -> str:
        return self.lines[number - 1] if 0 < number <= len(self.lines) else ""


@dataclass(frozen=True, slots=True)
class Span:
    """A place in one line. `line` and `column` count characters from 1; line 0 means the whole source."""

    source: Source
    line: int = 0
    column: int = 0
    length: int = 0


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake: what, where, and what to do about it.

    `path` leads through the recipe ("processors[0].top_p"); `snippet` is the line as it may be shown, and
    `caret` the column (from 0) and width to underline in it. `notes` say who extends the file that it is in.
    """

    message: str
    remedy: str = ""
    source: str = "<string>"
    line: int = 0
    column: int = 0
    length: int = 0
    path: str = ""
    code: Code = "bad-value"
    snippet: str = ""
    caret: tuple[int, int] = (0, 1)
    notes: tuple[str, ...] = ()
    severity: Literal["error", "warning"] = "error"

    @classmethod
    def at(
        cls,
        span: Span,
        code: Code,
        message: str,
        remedy: str = "",
        path: str = "",
        severity: Literal["error", "warning"] = "error",
    ) -> Problem:
        source = span.source
        snippet, caret = _snippet(source.line(span.line), span.column, span.length)
        return cls(
            message,
            remedy,
            source.name,
            span.line,
            span.column,
            span.length,
            path,
            code,
            snippet,
            caret,
            tuple(_extenders(source)),
            severity,
        )


class Problems(list[Problem]):
    """A list that knows when to stop."""

    @property
    def full(self) -> bool:
        return len(self) >= MAX_PROBLEMS

    def put(self, problem: Problem) -> None:
        if not self.full:
            self.append(problem)

    def add(self, span: Span, code: Code, message: str, remedy: str = "", path: str = "") -> None:
        if not self.full:
            self.append(Problem.at(span, code, message, remedy, path))


def render(problems: Sequence[Problem], last: str = "") -> str:
    """The report: each problem with its place, then how many there are. At most `MAX_REPORT` bytes.

    `last` is the line below them, unless it is the usual one.
    """
    count = len(problems)
    atleast = "at least " if count >= MAX_PROBLEMS else ""
    last = last or f"{atleast}{count} problem{'' if count == 1 else 's'} found; nothing was run."
    room = MAX_REPORT - len(last) - len("... and 999999 more\n")
    blocks: list[str] = []
    for problem in problems:
        block = _block(problem)
        if not blocks and len(block.encode()) >= room:
            block = _block(replace(problem, notes=()))
        room -= len(block.encode()) + 1
        if room < 0:
            blocks.append(f"... and {count - len(blocks)} more")
            break
        blocks.append(block)
    return "\n".join([*blocks, last])


def shown(text: str, limit: int = _LONGEST) -> str:
    """`text` with everything escaped that is invisible or would be a tag on a page, cut to `limit` characters."""
    visible = "".join(_cells(text[: limit + 1]))
    return visible if len(visible) <= limit else visible[: limit - 3] + "..."


def _block(problem: Problem) -> str:
    head = "error" if problem.severity == "error" else f"warning[{problem.code}]"
    lines = [f"{head}: {shown(problem.message)}"]
    gutter = " " * len(str(problem.line or ""))
    place = shown(problem.source, 120)
    if problem.line:
        place += f":{problem.line}:{problem.column}"
    if problem.path:
        place += f"  ({shown(problem.path, 120)})"
    lines.append(f"{gutter}--> {place}")
    if problem.line:
        column, width = problem.caret
        lines.append(f"{problem.line} | {problem.snippet}".rstrip())
        lines.append(f"{gutter} | {' ' * column}{'^' * width}")
    lines += [f"{gutter} = note: {shown(note)}" for note in problem.notes]
    if problem.remedy:
        lines.append(f"{gutter} = help: {shown(problem.remedy)}")
    return "\n".join(lines)


def _extenders(source: Source) -> Iterator[str]:
    while source.via is not None:
        via = source.via
        yield f"{via.source.name}:{via.line}:{via.column} extends {source.name}"
        source = via.source


def _snippet(line: str, column: int, length: int) -> tuple[str, tuple[int, int]]:
    """The line as shown, and where its caret goes: counted in terminal columns, which characters are not."""
    start = min(max(column - 1, 0), len(line))
    # A line may be as long as a recipe: only what can be shown is looked at.
    cut = max(start - _WIDTH, 0)
    piece = line[cut : start + _WIDTH + 1]
    cells = _cells(piece)
    widths = list(map(_width, cells))
    at, left, right = start - cut, 0, len(cells)
    if len(piece) < len(line) or sum(widths) > _WIDTH:
        left = at
        while left > 0 and sum(widths[left - 1 : at]) <= _CONTEXT:
            left -= 1
        right = left
        while right < len(cells) and sum(widths[left : right + 1]) <= _WIDTH:
            right += 1
    before = ("..." if left + cut else "") + "".join(cells[left:at])
    rest = "".join(cells[at:right]) + ("..." if right + cut < len(line) else "")
    width = sum(widths[at : min(at + length, right)])
    beyond = max(column - 1 - len(line), 0)
    return before + rest, (_width(before) + beyond, max(width, 1))


def _cells(text: str) -> list[str]:
    """What each character is shown as."""
    if text.isprintable() and "<" not in text:
        return list(text)
    tags = {match.start() for match in _TAG.finditer(text)}
    return [_cell(ch) if at not in tags else "\\x3c" for at, ch in enumerate(text)]


def _cell(ch: str) -> str:
    if ch.isprintable():
        return ch
    return "    " if ch == "\t" else ch.encode("unicode_escape").decode()


def _width(visible: str) -> int:
    # A caret under Japanese text must step two columns a character, and none for a combining mark.
    if visible.isascii():
        return len(visible)
    return sum(
        0 if unicodedata.combining(ch) else 2 if unicodedata.east_asian_width(ch) in "WF" else 1
        for ch in visible
    )
