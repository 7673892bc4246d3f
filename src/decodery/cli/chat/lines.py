"""Messages as they come: typed on a terminal, or a line each from a pipe."""

from __future__ import annotations

import sys
import time
from contextlib import suppress

from ...contracts.errors import InvalidInput
from ..console import Console, is_terminal

PROMPT, MORE = "> ", "... "
# Ctrl-C that comes so shortly after an answer was meant for the answer.
_LATE = 0.7


class Lines:
    """Reads one message after another; a line that ends with a backslash goes on in the next."""

    def __init__(self, console: Console) -> None:
        if sys.stdin is None:
            raise InvalidInput("stdin is closed: there is nobody to chat with", remedy="pipe messages in")
        self._console, self.typed = console, is_terminal(sys.stdin)
        self._answered = -_LATE
        self._editing = self.typed and console.out_terminal
        if self._editing:
            with suppress(ImportError):  # Windows has none; input() does without
                import readline  # noqa: F401, PLC0415 (arrow keys and history, wherever input() is used)

    def answered(self) -> None:
        """An answer has just ended."""
        self._answered = time.monotonic()

    def next(self) -> str | None:
        """A message; None at the end. Raises `InvalidInput` for what is no text, KeyboardInterrupt for Ctrl-C where
        nothing was typed."""
        parts: list[str] = []
        while True:
            try:
                line = self._typed(MORE if parts else PROMPT) if self.typed else self._piped()
            except KeyboardInterrupt:
                if not self.typed:
                    raise
                self._console.line()
                late = time.monotonic() - self._answered < _LATE
                if not (parts or late or _typed_so_far()):
                    raise
                parts = []
                continue
            if line is None:
                return "\n".join(parts) if parts else None
            if not line.endswith("\\"):
                return "\n".join([*parts, line])
            parts.append(line[:-1])

    def _typed(self, prompt: str) -> str | None:
        try:
            if self._editing:
                line = input(prompt)
            else:
                self._console.err.write(prompt)
                self._console.err.flush()
                line = sys.stdin.readline()
                if not line:
                    return None
        except EOFError:
            self._console.line()
            return None
        except UnicodeDecodeError as error:
            raise _not_text("what was typed", error) from None
        if any("\ud800" <= char <= "\udfff" for char in line):
            raise InvalidInput("what was typed is not valid text in this locale's encoding")
        return line.removesuffix("\n")

    def _piped(self) -> str | None:
        line = sys.stdin.buffer.readline()
        if not line:
            return None
        try:
            return line.decode("utf-8-sig").rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise _not_text("a line of stdin", error) from None


def _not_text(what: str, error: UnicodeDecodeError) -> InvalidInput:
    return InvalidInput(
        f"{what} is not UTF-8: byte {error.object[error.start]:#04x}", remedy="it was not kept; say it again"
    )


def _typed_so_far() -> str:
    """What stands on the line that Ctrl-C left, as far as the line editor tells."""
    readline = sys.modules.get("readline")
    return str(readline.get_line_buffer()) if readline is not None else ""
