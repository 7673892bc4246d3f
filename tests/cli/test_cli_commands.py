"""A command line makes the one command that it names, and behaves as if all were there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import typer

from decodery.cli.commands import build


def paths(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The words of every command in the tree."""
    if not hasattr(command, "commands"):
        yield path
    for name, inner in getattr(command, "commands", {}).items():
        yield from paths(inner, (*path, name))


def made(*argv: str) -> set[tuple[str, ...]]:
    return set(paths(typer.main.get_command(build(argv))))


ALL = made()


@pytest.mark.parametrize("path", sorted(ALL), ids=" ".join)
def test_a_command_that_is_named_is_the_only_one_made(path: tuple[str, ...]) -> None:
    assert made(*path, "--json") == {path}
    assert made("--no-plugin", "generate", "--no-plugin=chat", *path) == {path}


@pytest.mark.parametrize(
    "argv", [[], ["--help"], ["recipe"], ["recipe", "--help"], ["recipe", "chekc"], ["-h", "generate"]]
)
def test_where_none_is_named_all_are_there(argv: list[str]) -> None:
    assert made(*argv) == ALL
    assert len(ALL) > 10


def test_a_mistyped_command_is_told_the_nearest(run: Any) -> None:
    outcome = run("recipe", "chekc", "a.yaml")
    assert outcome.code == 2
    assert "check" in outcome.err
    assert run("recipe", "check", "--help").out.startswith("Usage: decodery recipe check")
