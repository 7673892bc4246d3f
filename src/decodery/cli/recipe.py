"""`decodery recipe`: checks recipes, without a model and without torch."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..contracts.errors import DecoderyError, RecipeError
from .console import Console
from .prompts import read_bytes

if TYPE_CHECKING:
    from ..host.registry import Host
    from ..recipe.recipe import Recipe


def app() -> typer.Typer:
    """The commands below `decodery recipe`."""
    group = typer.Typer(help="Recipes: check.", no_args_is_help=True)
    group.callback()(_group)
    group.command("check")(check)
    return group


def check(
    *,
    file: Annotated[
        list[str],
        typer.Argument(metavar="FILE", help="Recipe files, names of recipes in the box, or - for stdin."),
    ],
    override: Annotated[
        list[str] | None,
        typer.Option(
            "--override",
            "-o",
            metavar="STEP=VALUE",
            show_default=False,
            help="Check with this change: top_p=0.8. May be repeated.",
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object a line for each file.")
    ] = False,
) -> None:
    """Check recipes and say where each mistake is. Exit code 1 if one has a mistake."""
    # lazy: `--help` needs no host
    from ..host.registry import Host  # noqa: PLC0415

    console, host = Console(), Host()
    outcomes = [(name, _outcome(name, override or [], host)) for name in file]
    for name, outcome in outcomes:
        if as_json:
            console.line(json.dumps(_as_data(name, outcome)))
        elif isinstance(outcome, DecoderyError):
            console.line(str(outcome) if isinstance(outcome, RecipeError) else f"error: {outcome}")
        else:
            console.line(f"{_label(name)}: ok ({_summary(outcome)})")
    if any(isinstance(outcome, DecoderyError) for _, outcome in outcomes):
        raise typer.Exit(1)


def _group() -> None:
    # Without a callback typer would make the group's only command the group itself.
    pass


def _outcome(name: str, overrides: Sequence[str], host: Host) -> Recipe | DecoderyError:
    # lazy: pydantic
    from ..recipe.recipe import Recipe  # noqa: PLC0415

    try:
        if name == "-":
            return Recipe.loads(
                read_bytes("-", "recipe"), overrides=overrides, host=host, source=_label(name)
            )
        return Recipe.load(name, overrides=overrides, host=host)
    except DecoderyError as error:
        return error


def _as_data(name: str, outcome: Recipe | DecoderyError) -> dict[str, Any]:
    if isinstance(outcome, DecoderyError):
        problems = outcome.problems if isinstance(outcome, RecipeError) else ()
        known = [
            dataclasses.asdict(p) for p in problems if dataclasses.is_dataclass(p) and not isinstance(p, type)
        ]
        return {
            "file": _label(name),
            "ok": False,
            "problems": known or [{"message": outcome.message, "remedy": outcome.remedy}],
        }
    return {
        "file": _label(name),
        "ok": True,
        "name": outcome.name,
        "strategy": outcome.strategy.qualified,
        "processors": [step.qualified for step in outcome.processors],
        "stop": [step.qualified for step in outcome.stop],
        "fingerprint": outcome.fingerprint,
        "problems": [],
    }


def _summary(recipe: Recipe) -> str:
    parts = [
        _count(len(recipe.processors), "processor"),
        _count(len(recipe.stop), "stop rule"),
        f"fingerprint {recipe.fingerprint[:12]}",
    ]
    return ", ".join(parts)


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def _label(name: str) -> str:
    return "<stdin>" if name == "-" else name
