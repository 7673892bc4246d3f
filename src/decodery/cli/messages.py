"""An exception in one message, whoever raised it."""

from __future__ import annotations

import errno
import traceback
from pathlib import Path

from ..contracts.errors import DecoderyError, RecipeError

DEBUG = "DECODERY_DEBUG=1 shows the traceback"
_OURS = str(Path(__file__).parents[1])
_STANDARD = str(Path(traceback.__file__).parent)
_LIBRARIES = frozenset({"torch", "typer", "rich", "pydantic", "pluggy", "yaml"})
_OUT_OF_MEMORY = ("MemoryError", "OutOfMemoryError")


def message(error: BaseException) -> str:
    """What `error` says to a user: what, where as far as it is known, and what to do."""
    if isinstance(error, DecoderyError):
        return str(error) if isinstance(error, RecipeError) else f"error: {error}"  # the former is a report
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    return _unforeseen(error)


def _unforeseen(error: BaseException) -> str:
    kind, text, place = type(error).__name__, first_line(error), foreign_place(error)
    if kind in _OUT_OF_MEMORY:
        remedy = "fewer prompts or samples at once, or fewer new tokens"
        return f"error: out of memory: {text or kind}\n  = help: {remedy}"
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO):
        written = repr(error.filename) if error.filename else "the output"  # on a full or a broken disk
        return f"error: {written} cannot be written: {error.strerror}\n  = help: make room, or redirect it elsewhere"
    if place:
        return f"error: {place}: {kind}: {text}\n  = help: this is not decodery's code; {DEBUG}"
    return f"internal error: {kind}: {text}\n  = help: {DEBUG}"


def first_line(error: BaseException) -> str:
    """The first line of what `error` says: libraries add pages."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), "")


def foreign_place(error: BaseException) -> str:
    """Where in a user's model, tokenizer or plugin `error` came up ("model.py:12, in forward"), or "".

    The innermost frame below our last one that is in no library we use ourselves: what torch or the standard
    library refuses, its caller asked for.
    """
    frames = traceback.extract_tb(error.__traceback__)
    ours = [place for place, frame in enumerate(frames) if Path(frame.filename).is_relative_to(_OURS)]
    below = frames[ours[-1] + 1 :] if ours else []
    theirs = [frame for frame in below if not _is_library(frame)]
    return f"{Path(theirs[-1].filename).name}:{theirs[-1].lineno}, in {theirs[-1].name}" if theirs else ""


def _is_library(frame: traceback.FrameSummary) -> bool:
    path = Path(frame.filename)
    standard = path.is_relative_to(_STANDARD) and "site-packages" not in path.parts
    return (
        standard
        or frame.filename.startswith("<")
        or not _LIBRARIES.isdisjoint(path.parts)
        or _is_inner(frame)
    )


def _is_inner(frame: traceback.FrameSummary) -> bool:
    # Before Python 3.12 a comprehension had a frame of its own; the function around it says more.
    return frame.name in ("<listcomp>", "<dictcomp>", "<setcomp>", "<genexpr>")
