"""Problems, and how they are printed: the way rustc does it, with the line, a caret and what to do.

A recipe is a stranger's text, so everything taken from it is shown with control, bidi and other invisible
characters escaped, long lines are cut around the caret, and a report never exceeds `MAX_REPORT` bytes.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from .codes import Code

MAX_REPORT = 4096
MAX_PROBLEMS = 50
"""Checking stops here: nobody mends the fifty-first mistake first."""

_WIDTH = 100  # columns of a shown line
_CONTEXT = 40  # columns kept before the caret when a line is cut
_LONGEST = 240  # characters of a message or remedy


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
        room -= len(block.encode()) + 1
        if room < 0:
            blocks.append(f"... and {count - len(blocks)} more")
            break
        blocks.append(block)
    return "\n".join([*blocks, last])


def shown(text: str, limit: int = _LONGEST) -> str:
    """`text` with everything invisible escaped, cut to `limit` characters."""
    visible = "".join(_cell(ch) for ch in text[: limit + 1])
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
    start = max(column - 1, 0)
    left, right = 0, len(line)
    if len(line) > _WIDTH or _columns(line) > _WIDTH:
        left = start
        while left > 0 and start - left < _CONTEXT and _columns(line[left - 1 : start]) <= _CONTEXT:
            left -= 1
        right = left
        while right < len(line) and right - left < _WIDTH and _columns(line[left : right + 1]) <= _WIDTH:
            right += 1
    before = ("..." if left else "") + "".join(map(_cell, line[left:start]))
    rest = "".join(map(_cell, line[start:right])) + ("..." if right < len(line) else "")
    width = _columns(line[start : min(start + length, right)])
    return before + rest, (_columns_of_visible(before), max(width, 1))


def _cell(ch: str) -> str:
    if ch.isprintable():
        return ch
    return "    " if ch == "\t" else ch.encode("unicode_escape").decode()


def _columns(text: str) -> int:
    return _columns_of_visible("".join(map(_cell, text)))


def _columns_of_visible(text: str) -> int:
    # A caret under Japanese text must step two columns a character, and none for a combining mark.
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(ch) else 2 if unicodedata.east_asian_width(ch) in "WF" else 1
        for ch in text
    )
