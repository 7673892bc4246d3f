"""The entry point: runs a command and turns whatever it raises into one message and an exit code.

0 it worked; 1 the run failed, or a recipe, model or input is bad; 2 the command line itself is wrong;
130 Ctrl-C. A reader that closes the pipe early (`| head -1`) has what it wanted: 0. `DECODERY_DEBUG=1` adds
the traceback to the message.
"""

from __future__ import annotations

import contextlib
import gc
import os
import sys
from collections.abc import Sequence

# Everything else is imported in the functions: Ctrl-C while it loads is explained like any other.

OK, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130


def process() -> int:
    """`main` as all that this process does."""
    code = main()
    # What is left goes with the process: to collect it first takes a sixth of a `recipe check`.
    gc.freeze()
    return code


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` (default: the process's own) and return the exit code. Raises nothing."""
    try:
        _prepare_streams()
        code = _run(list(sys.argv[1:] if argv is None else argv))
        sys.stdout.flush()
    except BaseException as error:  # Ctrl-C and SystemExit are exit codes, too
        code = _explained(error)
    return code


def _run(argv: list[str]) -> int:
    if argv == ["--version"]:
        # Scripts ask this often, and typer is most of the start-up.
        from .. import __version__  # noqa: PLC0415

        sys.stdout.write(f"decodery {__version__}\n")
        return OK
    # Start-up makes many objects and drops few: the collector need not look at them after every 700th.
    gc.set_threshold(100_000)
    # lazy: typer
    from .commands import invoke  # noqa: PLC0415

    return invoke(argv)


def _explained(error: BaseException) -> int:
    """Say on stderr what happened; the exit code."""
    try:
        from .console import Console  # noqa: PLC0415
        from .messages import message  # noqa: PLC0415

        if isinstance(error, BrokenPipeError):
            _drop_stdout()
            return OK
        if isinstance(error, SystemExit):
            return error.code if isinstance(error.code, int) else FAILED if error.code else OK
        if os.environ.get("DECODERY_DEBUG"):
            import traceback  # noqa: PLC0415

            traceback.print_exception(error, file=sys.stderr)
        Console().error(message(error))
        return INTERRUPTED if isinstance(error, KeyboardInterrupt) else FAILED
    except (OSError, ValueError, KeyboardInterrupt):
        # stderr is gone as well, or Ctrl-C came twice: the exit code is all that is left to say.
        return INTERRUPTED if isinstance(error, KeyboardInterrupt) else FAILED


def _prepare_streams() -> None:
    """A character that the output's encoding lacks is written as an escape, and stops nothing."""
    if sys.stdout is None:
        from ..contracts.errors import InvalidInput  # noqa: PLC0415

        raise InvalidInput("stdout is closed: there is no place for results", remedy="redirect it to a file")
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 (for the rest of the process)
    for stream in (sys.stdout, sys.stderr):
        if getattr(stream, "errors", None) in ("strict", "surrogateescape") and hasattr(
            stream, "reconfigure"
        ):
            stream.reconfigure(errors="backslashreplace")


def _drop_stdout() -> None:
    # Python flushes stdout once more at its end and may complain of the closed pipe: see the note on SIGPIPE in
    # the documentation of its signal module.
    with contextlib.suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
