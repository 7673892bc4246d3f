"""Where words go: results to stdout, talk to stderr; dressed on a terminal, plain anywhere else.

rich is imported only when something is really dressed. `NO_COLOR` and `TERM=dumb` keep a terminal plain.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    import rich.console
    import rich.progress

# Text of a model is data: on a terminal its control characters are shown, not obeyed.
_CONTROLS = {code: 0x2400 + code for code in range(0x20) if chr(code) not in "\n\t"}
_CONTROLS |= {0x7F: 0x2421} | dict.fromkeys(range(0x80, 0xA0), 0xFFFD)
# On a terminal that says it has fewer columns, rich would drop some and print blank lines.
_NARROWEST = 40


def is_terminal(stream: TextIO | None) -> bool:
    """A person is at the other end of `stream`; None is a stream that was closed before Python started."""
    try:
        return stream is not None and stream.isatty()
    except ValueError:
        return False


def is_dressed(stream: TextIO) -> bool:
    """Styles and animation are welcome on `stream`."""
    return is_terminal(stream) and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def visible(text: str) -> str:
    """`text` with control characters other than newline and tab as symbols (U+2400 block)."""
    return text.translate(_CONTROLS)


class Console:
    """The two streams of one command. `quiet` drops talk, never results or errors."""

    def __init__(self, *, quiet: bool = False, verbose: bool = False) -> None:
        self.out, self.err = sys.stdout, sys.stderr
        self.quiet, self.verbose = quiet, verbose
        self.out_terminal, self.err_terminal = is_terminal(self.out), is_terminal(self.err)

    def write(self, text: str, style: str = "") -> None:
        """A piece of a result, as it is; shown at once."""
        if not self.out_terminal:
            self.out.write(text)
        elif style and is_dressed(self.out):
            self._rich(self.out).print(_text(text, style), end="", soft_wrap=True)
        else:
            self.out.write(visible(text))
        self.out.flush()

    def line(self, text: str = "", style: str = "") -> None:
        """A line of a result."""
        self.write(f"{text}\n", style)

    def table(self, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Columns: folded to the width of a terminal, but not below 40; aligned, whole and one line a row in a pipe."""
        if is_dressed(self.out):
            from rich.table import Table  # noqa: PLC0415 (lazy: rich)

            table = Table(box=None, pad_edge=False, header_style="bold")
            for name in header:
                table.add_column(name, overflow="fold")
            for row in rows:
                table.add_row(*(_text(cell) for cell in row))
            console = self._rich(self.out)
            console.width = max(console.width, _NARROWEST)
            console.print(table)
            return
        widths = [max(len(line[i]) for line in (header, *rows)) for i in range(len(header))]
        for line in (header, *rows):
            self.line("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())

    def say(self, text: str) -> None:
        """A line of talk."""
        if not self.quiet:
            self.err.write(f"{visible(text) if self.err_terminal else text}\n")
            self.err.flush()

    def error(self, text: str) -> None:
        """A message that nothing silences; its first word is red on a terminal."""
        head, colon, rest = text.partition(":")
        if is_dressed(self.err) and colon and head in ("error", "internal error"):
            console = self._rich(self.err)
            console.print(_text(f"{head}:", "bold red"), end="", soft_wrap=True)
            text = rest
        self.err.write(f"{visible(text) if self.err_terminal else text}\n")
        self.err.flush()

    @contextmanager
    def waiting(self, text: str) -> Iterator[None]:
        """A spinner on a terminal while something takes its time."""
        if self.quiet or not is_dressed(self.err):
            yield
            return
        with self._rich(self.err).status(_text(text)):
            yield

    @contextmanager
    def progress(self, total: int | None) -> Iterator[Progress | None]:
        """A bar over `total` tokens (None: not known) on a terminal; None elsewhere."""
        if self.quiet or not is_dressed(self.err):
            yield None
            return
        from rich import progress  # noqa: PLC0415 (lazy: rich)

        bar = progress.Progress(
            progress.TextColumn("{task.fields[rows]}"),
            progress.BarColumn(),
            progress.TaskProgressColumn(),
            progress.TextColumn("{task.fields[tokens]} tokens"),
            progress.TimeElapsedColumn(),
            console=self._rich(self.err),
            transient=True,
        )
        with bar:
            yield Progress(bar, total)

    def _rich(self, stream: TextIO) -> rich.console.Console:
        from rich.console import Console as RichConsole  # noqa: PLC0415 (lazy: rich)

        return RichConsole(file=stream, highlight=False, markup=False, emoji=False)


class Progress:
    """A rich bar that counts tokens."""

    def __init__(self, bar: rich.progress.Progress, total: int | None) -> None:
        self._bar = bar
        self._task = bar.add_task("", total=total, rows="", tokens=0)

    def update(self, completed: int, tokens: int, rows: str) -> None:
        """`completed` of the total, `tokens` made, and in words how many rows are done."""
        self._bar.update(self._task, completed=completed, tokens=tokens, rows=rows)


def _text(text: str, style: str = "") -> Any:
    from rich.text import Text  # noqa: PLC0415 (lazy: rich)

    return Text(visible(text), style)
