"""Watches what Python does while foreign text is read: an audit hook that counts files, processes, code and network."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Iterator

FORBIDDEN = (
    "open", "exec", "compile", "import", "os.", "subprocess.", "socket.", "shutil.", "tempfile.", "urllib.", "ctypes.",
    "pickle.", "glob.", "pty.",
)  # fmt: skip
SECONDS = 5
_seen: list[str] | None = None
_hooked = False


def _hook(event: str, arguments: tuple[object, ...]) -> None:
    if _seen is not None and event.startswith(FORBIDDEN):
        _seen.append(f"{event} {arguments!r}"[:200])


@contextlib.contextmanager
def watched() -> Iterator[list[str]]:
    """The events of the block that reading text has no business with. Hooks cannot be removed, so there is one."""
    global _seen, _hooked  # noqa: PLW0603 (an audit hook has nowhere else to write)
    if not _hooked:
        sys.addaudithook(_hook)
        _hooked = True
    seen = _seen = []
    try:
        yield seen
    finally:
        _seen = None


@contextlib.contextmanager
def patience(text: object) -> Iterator[None]:
    """Whatever takes more than `SECONDS` hangs."""

    def late(number: int, frame: object) -> None:
        raise TimeoutError(f"{SECONDS} s and more for {text!r:.500}")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
