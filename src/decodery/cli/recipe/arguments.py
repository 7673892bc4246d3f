"""What each `decodery recipe` command takes, as typer reads it; the work is imported when it is called."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

_FILES = "Recipe files, names of recipes in the box, or - for stdin."
_CHANGE = "Check with this change: top_p=0.8. May be repeated."

Overrides = Annotated[
    list[str] | None,
    typer.Option("--override", "-o", metavar="STEP=VALUE", show_default=False, help=_CHANGE),
]


def check(
    *,
    file: Annotated[list[str], typer.Argument(metavar="FILE", help=_FILES)],
    override: Overrides = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object a line for each file.")
    ] = False,
) -> None:
    """Check recipes and say where each mistake is. Exit code 1 if one has a mistake."""
    from .check import check as command  # noqa: PLC0415 (lazy: the host and pydantic)

    _end(command(file, override or [], as_json))


COMMANDS: dict[str, Callable[..., None]] = {"check": check}
"""Name on the command line -> what it takes, in the order of `--help`."""


def _end(code: int) -> None:
    if code:
        raise typer.Exit(code)
