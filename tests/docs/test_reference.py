"""What is public is documented: names, parameters, errors, commands and options."""

from __future__ import annotations

import dataclasses
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from decodery.cli.commands import build
from decodery.contracts import errors
from decodery.contracts.specs import AdapterSpec, RecipeSource, StepSpec, StrategySpec
from decodery.host.hookspecs import HOOKS
from decodery.host.registry import Host

DOCS = Path(__file__).parents[2] / "docs"
HOST = Host(selection="")


@pytest.fixture(scope="module")
def reference() -> Iterator[Any]:
    sys.path.insert(0, str(DOCS / "_ext"))
    import reference_text

    yield reference_text
    sys.path.remove(str(DOCS / "_ext"))


def section(lines: list[str], name: str) -> str:
    """The part of a page below the heading `name`."""
    start = next(at for at, line in enumerate(lines) if line.lstrip("#") == f" `{name}`")
    end = next(
        (at for at, line in enumerate(lines[start + 1 :], start + 1) if line.startswith("#")), len(lines)
    )
    return "\n".join(lines[start:end])


def test_every_step_is_described_with_all_its_parameters(reference: Any) -> None:
    pages = {role: list(reference.steps(role)) for role in ("processor", "stop")}
    found = HOST.all(StepSpec)
    assert len(found) > 15
    for name, spec in found:
        text = section(pages[spec.role], name)
        assert spec.summary in text
        assert all(f"`{alias}`" in text for alias in spec.aliases)
        for field in dataclasses.fields(spec.params) if spec.params else ():
            (row,) = (line for line in text.split("\n") if line.startswith(f"| `{field.name}` |"))
            assert ("required" in row) == (field.default is dataclasses.MISSING), row


def test_every_strategy_is_described(reference: Any) -> None:
    lines = list(reference.strategies())
    for name, spec in HOST.all(StrategySpec):
        assert spec.summary in section(lines, name)


def test_every_hook_is_described_with_its_record_and_all_fields(reference: Any) -> None:
    lines = list(reference.hooks())
    assert len(HOOKS) == 6
    for hook, record in HOOKS.items():
        [row] = [line for line in lines if line.startswith(f"| `{hook}` | `{record.__name__}` |")]
        assert all(f"`{field.name}`" in row for field in dataclasses.fields(record))
        assert len(row.split("|")[3].strip()) > 20


def test_every_error_is_listed(reference: Any) -> None:
    lines = "\n".join(reference.error_classes())
    names = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, errors.DecoderyError)
    }
    assert len(names) > 10
    assert all(f"| `{name}` |" in lines for name in names)


def test_recipes_and_adapters_in_the_box_are_listed() -> None:
    for kind, page in ((RecipeSource, "recipes.md"), (AdapterSpec, "decoder.md")):
        text = (DOCS / page).read_text(encoding="utf-8")
        for name, _ in HOST.all(kind):
            assert f"| `{name}` |" in text, name


def test_every_command_and_option_is_in_the_tables_of_the_page() -> None:
    page = (DOCS / "command-line.md").read_text(encoding="utf-8")
    text = "\n".join(line for line in page.split("\n") if line.startswith("|"))
    found = list(_commands(typer.main.get_command(build()), "decodery"))
    assert len(found) > 4
    for words, options in found:
        assert words in text, words
        for option in options:
            assert re.search(rf"{option}\b", text), f"{words} {option}"


def _commands(command: Any, words: str) -> Iterator[tuple[str, list[str]]]:
    yield (
        words,
        [
            option
            for parameter in command.params
            for option in (*parameter.opts, *parameter.secondary_opts)
            if option.startswith("--")
        ],
    )
    for name, inner in getattr(command, "commands", {}).items():
        yield from _commands(inner, f"{words} {name}")
