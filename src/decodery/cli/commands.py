"""The tree of commands, as typer sees it."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from . import generate, plugins, recipe
from .console import is_terminal


class _Through(Exception):
    """Carries an exception past typer, which has answers of its own to some."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error


class _Commands(TyperGroup):
    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        with _past_typer():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: Any) -> Any:
        with _past_typer():
            return super().invoke(ctx)


@contextlib.contextmanager
def _past_typer() -> Iterator[None]:
    try:
        yield
    except (KeyboardInterrupt, OSError, EOFError) as error:
        raise _Through(error) from None


def build() -> typer.Typer:
    """The whole tree. Help is boxed and coloured on a terminal, plain text in a pipe."""
    app = typer.Typer(
        cls=_Commands,
        name="decodery",
        help="Decodes any torch model from a recipe.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich" if _dressed() else None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_root)
    app.command()(generate.generate)
    app.add_typer(plugins.app(), name="plugins")
    app.add_typer(recipe.app(), name="recipe")
    return app


def invoke(argv: list[str]) -> int:
    """Run one command line. Raises what the command raised, and SystemExit with its exit code."""
    try:
        typer.main.get_command(build()).main(argv, prog_name="decodery")
    except _Through as through:
        raise through.error from None
    return 0


def _dressed() -> bool:
    return is_terminal(sys.stdout) and is_terminal(sys.stderr) and os.environ.get("TERM") != "dumb"


def _root(
    version: Annotated[bool, typer.Option("--version", help="Show the version.", is_eager=True)] = False,
) -> None:
    if version:
        from .. import __version__  # noqa: PLC0415

        typer.echo(f"decodery {__version__}")
        raise typer.Exit
