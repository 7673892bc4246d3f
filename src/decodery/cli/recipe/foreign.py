"""`decodery recipe import` and `export`: the result goes to stdout, the report to stderr."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

from ...contracts.errors import DecoderyError
from ...host.registry import Host
from ...recipe import foreign
from ...recipe.presets.common.carried import Carried, lines
from ..console import Console
from ..prompts import read_bytes
from .reading import label, problems_as_data, read


def import_(file: str, name: str, strict: bool, as_json: bool, quiet: bool) -> int:
    """Print the recipe that a foreign file means -> the exit code."""
    try:
        if file == "-":
            found = foreign.loads(read_bytes("-", "preset"), name, source=label(file))
        else:
            found = foreign.load(file, name)
        more = {
            "fingerprint": found.recipe.fingerprint,
            "decoder": dict(found.decoder),
            "call": dict(found.call),
        }
        text = found.recipe.to_yaml()
    except DecoderyError as error:
        return _failed(error, file, as_json)
    return _show(file, text, found.carried, more, strict, as_json, quiet)


def export(recipe: str, name: str, overrides: Sequence[str], strict: bool, as_json: bool, quiet: bool) -> int:
    """Print a recipe as another engine's text -> the exit code."""
    try:
        written = foreign.dumps(read(recipe, overrides, Host()), name)
    except DecoderyError as error:
        return _failed(error, recipe, as_json)
    return _show(recipe, written.text, written.carried, {}, strict, as_json, quiet)


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
        data = {"file": label(file), "ok": True, "exact": exact, "text": text, "keys": keys, **more}
        console.line(json.dumps(data))
    else:
        console.write(text)
        for line in lines(carried):
            console.say(line)
    return int(strict and not exact)


def _failed(error: DecoderyError, file: str, as_json: bool) -> int:
    if not as_json:
        raise error
    Console().line(json.dumps({"file": label(file), "ok": False, "problems": problems_as_data(error)}))
    return 1
