"""The tree of commands, as typer sees it."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from . import arguments, detect_arguments
from .chat import arguments as chat_arguments
from .console import is_terminal
from .recipe import arguments as recipe_arguments
from .recipe import foreign_arguments


class _Through(Exception):
    """Carries an exception past typer, which has answers of its own to some."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error


class _PlainFlags:
    """Flags that nobody gave are False.

    typer's own (--help, --install-completion) are None, and for a None typer imports pydantic, which is half of a
    short command's time.
    """

    def get_params(self, ctx: Any) -> list[Any]:
        params: list[Any] = super().get_params(ctx)  # type: ignore[misc]
        for param in params:
            # One with an opposite (--stream/--no-stream) has three answers, and None is one of them.
            if getattr(param, "is_flag", False) and not param.secondary_opts and param.default is None:
                param.default = False
        return params


class _Command(_PlainFlags, TyperCommand):
    pass


class _Group(_PlainFlags, TyperGroup):
    pass


class _Commands(_Group):
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


_TREE: dict[tuple[str, ...], Callable[..., None]] = {
    ("generate",): arguments.generate,
    ("chat",): chat_arguments.chat,
    ("detect",): detect_arguments.detect,
    ("doctor",): arguments.doctor,
    ("plugins", "list"): arguments.plugins_list,
    ("plugins", "show"): arguments.plugins_show,
    ("plugins", "doctor"): arguments.plugins_doctor,
    ("plugins", "new"): arguments.plugins_new,
    **{("recipe", name): command for name, command in recipe_arguments.COMMANDS.items()},
    **{("recipe", name): command for name, command in foreign_arguments.COMMANDS.items()},
}
"""Words on the command line -> what it takes, in the order of `--help`."""
_GROUPS = {
    "plugins": "Installed plugins: list, show, doctor; new writes one.",
    "recipe": f"Recipes: {', '.join(name for group, *rest in _TREE if group == 'recipe' for name in rest)}.",
}


def build(argv: Sequence[str] = ()) -> typer.Typer:
    """The tree of commands: the one that `argv` names, else all. typer reads the signature of each that is there, which
    for all of them takes longer than a short command itself.

    Help is boxed and coloured on a terminal, plain text in a pipe.
    """
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
    named = _named(argv)
    groups: dict[str, typer.Typer] = {}
    for path, command in _TREE.items():
        if named in (None, path):
            parent = app
            if len(path) > 1:
                parent = groups.get(path[0]) or groups.setdefault(
                    path[0], _group(app, path[0], _GROUPS[path[0]])
                )
            parent.command(path[-1], cls=_Command)(command)
    return app


def _named(argv: Sequence[str]) -> tuple[str, ...] | None:
    """The words of the command that `argv` begins with, behind options of the whole; None where it names none."""
    words = list(argv)
    while words and words[0].partition("=")[0] == "--no-plugin":
        del words[: 1 if "=" in words[0] else 2]
    return next((path for path in _TREE if path == tuple(words[: len(path)])), None)


def _group(app: typer.Typer, name: str, words: str) -> typer.Typer:
    group = typer.Typer(cls=_Group, help=words, no_args_is_help=True)
    # Without a callback typer would make a group's only command the group itself.
    group.callback()(_nothing)
    app.add_typer(group, name=name)
    return group


def _nothing() -> None:
    pass


def invoke(argv: list[str]) -> int:
    """Run one command line. Raises what the command raised, and SystemExit with its exit code."""
    try:
        typer.main.get_command(build(argv)).main(argv, prog_name="decodery")
    except _Through as through:
        raise through.error from None
    return 0


def _dressed() -> bool:
    return is_terminal(sys.stdout) and is_terminal(sys.stderr) and os.environ.get("TERM") != "dumb"


def _root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Show the version.", is_eager=True)] = False,
    no_plugin: Annotated[
        list[str] | None,
        typer.Option("--no-plugin", metavar="NAME", help=arguments.NO_PLUGIN, show_default=False),
    ] = None,
) -> None:
    if version:
        from .. import __version__  # noqa: PLC0415

        typer.echo(f"decodery {__version__}")
        raise typer.Exit
    if no_plugin:
        from .plugins.without import plugins_left_out  # noqa: PLC0415 (lazy: the host)

        context.with_resource(plugins_left_out(no_plugin))
