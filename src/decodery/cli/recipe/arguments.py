"""What each `decodery recipe` command takes, as typer reads it; the work is imported when it is called."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

_FILES = "Recipe files, names of recipes in the box, or - for stdin."
_FILE = "A recipe file, the name of one in the box, or - for stdin."
_CHANGE = "With this change: top_p=0.8. May be repeated."
_STRICT = "Exit code 1 for warnings, too."

Overrides = Annotated[
    list[str] | None,
    typer.Option("--override", "-o", metavar="STEP=VALUE", show_default=False, help=_CHANGE),
]
File = Annotated[str, typer.Argument(metavar="FILE", help=_FILE)]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def check(
    *,
    file: Annotated[list[str], typer.Argument(metavar="FILE", help=_FILES)],
    override: Overrides = None,
    strict: Annotated[bool, typer.Option("--strict", help=_STRICT)] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object a line for each file.")
    ] = False,
) -> None:
    """Check recipes and say where each mistake is. Exit code 1 if one has a mistake."""
    from .check import check as command  # noqa: PLC0415 (lazy: the host and pydantic)

    _end(command(file, override or [], strict, as_json))


def fill(
    *,
    file: File,
    override: Overrides = None,
    diff: Annotated[
        bool, typer.Option("--diff", help="Only what filling adds to what the file says.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Print a recipe with everything spelled out: bases, patches, overrides, defaults."""
    from .fill import fill as command  # noqa: PLC0415 (lazy: the host and pydantic)

    _end(command(file, override or [], diff, as_json))


def explain(*, file: File, override: Overrides = None, as_json: Json = False) -> None:
    """Print every value in effect and where it came from."""
    from .explain import explain as command  # noqa: PLC0415 (lazy: the host and pydantic)

    _end(command(file, override or [], as_json))


def schema(
    *, as_json: Annotated[bool, typer.Option("--json", help="The schema is JSON with or without.")] = False
) -> None:
    """Print the JSON Schema of recipes, with the steps of every installed plugin: for editors."""
    from .schema import schema as command  # noqa: PLC0415 (lazy: the host and pydantic)

    _end(command())


def diff(
    *,
    first: Annotated[str, typer.Argument(metavar="A", help=_FILE)],
    second: Annotated[str, typer.Argument(metavar="B", help=_FILE)],
    override: Overrides = None,
    as_json: Json = False,
) -> None:
    """Print what leads from recipe A to recipe B; -o changes B. Exit code 1 if they differ."""
    from .diff import diff as command  # noqa: PLC0415 (lazy: the host and pydantic)

    _end(command(first, second, override or [], as_json))


COMMANDS: dict[str, Callable[..., None]] = {
    "check": check,
    "fill": fill,
    "explain": explain,
    "schema": schema,
    "diff": diff,
}
"""Name on the command line -> what it takes, in the order of `--help`."""


def _end(code: int) -> None:
    if code:
        raise typer.Exit(code)
