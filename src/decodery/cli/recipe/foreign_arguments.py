"""What `decodery recipe import` and `export` take, as typer reads it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

_FILE = "The foreign file, or - for stdin."
_RECIPE = "A recipe: a YAML file, the name of one in the box, or - for stdin."
_CHANGE = "Write it with this change: top_p=0.8. May be repeated."

From = Annotated[
    str, typer.Option("--from", metavar="FORMAT", help="Whose it is: hf, llama.cpp, openai, vllm or tgw.")
]
To = Annotated[str, typer.Option("--to", metavar="FORMAT", help="For whom: hf, llama.cpp, openai or vllm.")]
Strict = Annotated[bool, typer.Option("--strict", help="Exit code 1 unless everything comes over exactly.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object, with the report in it.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No report on stderr.")]


def import_(
    *,
    file: Annotated[str, typer.Argument(metavar="FILE", help=_FILE)],
    name: From,
    strict: Strict = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Make a recipe of another engine's settings; the report says what became of every key."""
    from .foreign import import_ as command  # noqa: PLC0415 (lazy: the host and pydantic)

    _end(command(file, name, strict, as_json, quiet))


def export(
    *,
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help=_RECIPE)],
    name: To,
    override: Annotated[
        list[str] | None,
        typer.Option("--override", "-o", metavar="STEP=VALUE", show_default=False, help=_CHANGE),
    ] = None,
    strict: Strict = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write a recipe as another engine's settings; the report says what they cannot hold."""
    from .foreign import export as command  # noqa: PLC0415 (lazy: the host and pydantic)

    _end(command(recipe, name, override or [], strict, as_json, quiet))


COMMANDS: dict[str, Callable[..., None]] = {"import": import_, "export": export}
"""Name on the command line -> what it takes, in the order of `--help`."""


def _end(code: int) -> None:
    if code:
        raise typer.Exit(code)
