"""`decodery recipe import` and `export`: recipes from and for other engines; the result on stdout, the report on
stderr."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

from ..contracts.errors import DecoderyError, RecipeError
from ..host.registry import Host
from ..recipe import foreign
from ..recipe.presets.common.carried import Carried, lines
from ..recipe.recipe import Recipe
from .console import Console
from .prompts import read_bytes


def import_(file: str, name: str, strict: bool, as_json: bool, quiet: bool) -> int:
    """Print the recipe that a foreign file means -> the exit code."""
    label = "<stdin>" if file == "-" else file
    try:
        if file == "-":
            found = foreign.loads(read_bytes("-", "preset"), name, source=label)
        else:
            found = foreign.load(file, name)
    except DecoderyError as error:
        return _failed(error, label, as_json)
    more = {
        "fingerprint": found.recipe.fingerprint,
        "decoder": dict(found.decoder),
        "call": dict(found.call),
    }
    return _show(label, found.recipe.to_yaml(), found.carried, more, strict, as_json, quiet)


def export(recipe: str, name: str, overrides: Sequence[str], strict: bool, as_json: bool, quiet: bool) -> int:
    """Print a recipe as another engine's text -> the exit code."""
    label = "<stdin>" if recipe == "-" else recipe
    host = Host()
    try:
        if recipe == "-":
            raw = read_bytes("-", "recipe")
            found = Recipe.loads(raw, overrides=overrides, host=host, source=label)
        else:
            found = Recipe.load(recipe, overrides=overrides, host=host)
        written = foreign.dumps(found, name)
    except DecoderyError as error:
        return _failed(error, label, as_json)
    return _show(label, written.text, written.carried, {}, strict, as_json, quiet)


def _show(
    file: str,
    text: str,
    carried: Sequence[Carried],
    more: dict[str, Any],
    strict: bool,
    as_json: bool,
    quiet: bool,
) -> int:
    console = Console(quiet=quiet)
    exact = all(found.status == "exact" for found in carried)
    if as_json:
        keys = [dataclasses.asdict(found) for found in carried]
        data = {"file": file, "ok": True, "exact": exact, "text": text, "keys": keys, **more}
        console.line(json.dumps(data))
    else:
        console.write(text)
        for line in lines(carried):
            console.say(line)
    return int(strict and not exact)


def _failed(error: DecoderyError, file: str, as_json: bool) -> int:
    if not as_json:
        raise error
    problems = [
        dataclasses.asdict(found)
        for found in (error.problems if isinstance(error, RecipeError) else ())
        if dataclasses.is_dataclass(found) and not isinstance(found, type)
    ]
    known = problems or [{"message": error.message, "remedy": error.remedy}]
    Console().line(json.dumps({"file": file, "ok": False, "problems": known}))
    return 1
