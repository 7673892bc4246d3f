"""Recipes from other engines' files and back, with a report on what became of every key."""

from __future__ import annotations

import difflib
import importlib
import os
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from ..contracts.errors import InvalidInput, RecipeError, UnknownName
from ..host.registry import Host
from . import presets
from .presets.common.carried import Carried
from .presets.common.format import Format
from .presets.common.writing import Written
from .recipe import Recipe
from .report import Problem, Problems, render
from .syntax.text import MAX_BYTES, read


@dataclass(frozen=True, slots=True)
class Imported:
    """`recipe` is what the file means here; `carried` has a line for each of its keys. What no recipe holds are
    arguments: `decoder` for `Decoder(model, recipe, **decoder)`, `call` for its `generate(prompts, **call)`."""

    recipe: Recipe
    carried: tuple[Carried, ...]
    decoder: Mapping[str, object]
    call: Mapping[str, object]


def formats() -> dict[str, Format]:
    """Name -> format, of every module in `presets/`."""
    return dict(_formats(tuple(presets.__path__)))


@cache
def _formats(folders: tuple[str, ...]) -> dict[str, Format]:
    names = [module.name for module in pkgutil.iter_modules(folders) if not module.ispkg]
    modules = [importlib.import_module(f"{presets.__name__}.{name}") for name in sorted(names)]
    return {module.FORMAT.name: module.FORMAT for module in modules}


def load(path: str | os.PathLike[str], name: str, *, host: Host | None = None) -> Imported:
    """Read the file `path` in the format `name`. Raises like `loads`."""
    try:
        with open(path, "rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        problem = Problem(
            f"the file cannot be read: {reason}", "check the path", os.fsdecode(path), code="not-found"
        )
        raise RecipeError(render([problem]), [problem]) from None
    return loads(raw, name, source=os.fsdecode(path), host=host)


def loads(text: str | bytes, name: str, *, source: str = "<string>", host: Host | None = None) -> Imported:
    """Read a text in the format `name` ("hf", "llama.cpp" ...); `source` is its name in messages.

    Raises `RecipeError` with every bad value at its place, `UnknownName` for a format that there is not.
    """
    form = _format(name)
    if not isinstance(text, (str, bytes)):
        raise InvalidInput(f"a text is str or bytes, not {type(text).__name__}")
    problems = Problems()
    found = read(text, source, problems)
    if found is None or problems:
        raise RecipeError(render(problems), problems)
    done = form.read(found[1], found[0], host or Host())
    return Imported(Recipe(**done.fields), done.carried, done.decoder, done.call)


def dumps(recipe: Recipe, name: str) -> Written:
    """The recipe's text in the format `name`. Raises `UnknownName` where there is no way out."""
    form = _format(name, out=True)
    if form.write is None:  # _format has seen to that
        raise UnknownName(f"nothing writes {name!r}")
    return form.write(recipe)


def _format(name: str, out: bool = False) -> Format:
    every = formats()
    known = {key: form for key, form in every.items() if not out or form.write is not None}
    if name in known:
        return known[name]
    if name in every:
        raise UnknownName(f"{name!r} is read, and not written", remedy=f"written: {', '.join(known)}")
    words = {word: key for key, form in known.items() for word in (key, *form.keywords)}
    close = difflib.get_close_matches(name[:50].lower(), words, n=1)
    remedy = f"did you mean {words[close[0]]!r}?" if close else f"known: {', '.join(known)}"
    raise UnknownName(f"no format {name[:50]!r}{' to write' if out else ''}", remedy=remedy)
