"""The code blocks of a Markdown page, and the outputs that stand below them.

How a page is written is told in CONTRIBUTING.md, "Pages are tests".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_FENCE = re.compile(r"(`{3,})([^`]*)\Z")
_NOT_RUN = re.compile(r"<!-- not run: (.+) -->\Z")
_FILE = re.compile(r"# file: (\S+)\Z")
_REPORTS = re.compile(r"# reports: (\S+)\Z")


@dataclass(frozen=True)
class Block:
    """`first` and `last` are the line numbers of the fences, from 1; `words` is what follows the language."""

    language: str
    words: frozenset[str]
    lines: tuple[str, ...]
    first: int
    last: int
    not_run: str = ""

    @property
    def text(self) -> str:
        return "".join(f"{line}\n" for line in self.lines)

    @property
    def is_sample(self) -> bool:
        """What a draw gave on one machine: another's rounding may give other words."""
        return bool(self.words & {"sample", "{.sample}"})

    @property
    def file(self) -> str:
        """The file that the block is the content of, "" for others."""
        found = _FILE.match(self.lines[0]) if self.lines else None
        return found[1] if found else ""

    @property
    def reports(self) -> str:
        """The code of the problem or warning that the block, a recipe, is an example of; "" for others."""
        found = _REPORTS.match(self.lines[0]) if self.lines else None
        return found[1] if found else ""

    @property
    def is_recipe(self) -> bool:
        said = [line for line in self.lines if line.strip() and not line.lstrip().startswith("#")]
        is_other = self.language != "yaml" or self.file or self.reports
        return bool(said) and said[0].startswith("recipe:") and not is_other


def blocks(page: str) -> Iterator[Block]:
    """Every fenced block that begins at the margin."""
    lines = page.split("\n")
    number = 0
    while number < len(lines):
        opened = _FENCE.match(lines[number])
        if not opened:
            number += 1
            continue
        first = number
        number += 1
        while number < len(lines) and lines[number].rstrip() != opened[1]:
            number += 1
        language, *words = opened[2].split() or [""]
        before = _NOT_RUN.match(lines[first - 1].strip()) if first else None
        yield Block(
            language,
            frozenset(words),
            tuple(lines[first + 1 : number]),
            first + 1,
            number + 1,
            before[1] if before else "",
        )
        number += 1


def output_of(block: Block, following: Block | None, page: str) -> Block | None:
    """The text block that stands directly below `block`, with nothing but blank lines between."""
    if following is None or following.language != "text":
        return None
    between = page.split("\n")[block.last : following.first - 1]
    return None if any(line.strip() for line in between) else following


@dataclass(frozen=True)
class Command:
    """One `$ ...` of a console block and the lines shown below it; `line` is its number in the page."""

    text: str
    shown: tuple[str, ...]
    line: int
    last: int


def commands(block: Block) -> Iterator[Command]:
    """The commands of a console block; a backslash at the end of a line joins the next one to it."""
    starts = [at for at, line in enumerate(block.lines) if line.startswith("$ ")]
    for start, end in zip(starts, [*starts[1:], len(block.lines)], strict=True):
        words, at = block.lines[start][2:], start
        while words.endswith("\\") and at + 1 < end:
            at += 1
            words = words[:-1].rstrip() + " " + block.lines[at].strip()
        yield Command(words, block.lines[at + 1 : end], block.first + 1 + start, block.first + 1 + at)


def agrees(shown: str, printed: str) -> bool:
    """Equal, where a line `...` stands for any lines and `...` inside a line for any characters of it."""
    pattern = "".join(_pattern(line) for line in _trimmed(shown))
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in _trimmed(printed))) is not None


def _pattern(line: str) -> str:
    if line.strip() == "...":
        return r"(?:.*\n)*?"
    return r".*?".join(map(re.escape, line.split("..."))) + r"\n"


def _trimmed(text: str) -> list[str]:
    # Editors take away spaces at line ends, and a block cannot show how many newlines end it.
    lines = [line.rstrip() for line in text.split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    return lines
