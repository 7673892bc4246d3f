"""Where a recipe's bytes come from: a file, the box, or a plugin's package."""

from __future__ import annotations

import difflib
import importlib.resources
import os
from itertools import islice
from pathlib import Path

from ..contracts.errors import PluginError, RecipeError, UnknownName
from ..contracts.specs import RecipeSource
from ..host.registry import Host
from .names import QUALIFIED
from .report import Problem, render
from .syntax.text import MAX_BYTES

_SUFFIXES = (".yaml", ".yml")
_ENOUGH = MAX_BYTES + 1  # one byte more than is allowed, so that the limit can be seen to be passed


def fetch(source: str | os.PathLike[str], host: Host) -> tuple[str, bytes]:
    """(name for messages, bytes) of a path or of a recipe's name. A path is a `PathLike`, has a separator, or
    ends in .yaml or .yml. Raises `RecipeError`, `PluginError`."""
    text = os.fsdecode(source)
    if isinstance(source, str) and not _looks_like_path(text):
        return _registered(text, host)
    try:
        with open(source, "rb") as file:
            return text, file.read(_ENOUGH)
    except FileNotFoundError:
        if isinstance(source, str) and QUALIFIED.match(text):
            return _registered(text, host)
        raise _failure(text, "there is no such file", _suggestion(text, host)) from None
    except IsADirectoryError:
        raise _failure(text, "this is a folder", "name a file in it") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise _failure(
            text, f"the file cannot be read: {reason}", "check the path and its permissions"
        ) from None


def _looks_like_path(text: str) -> bool:
    separators = {"/", os.sep, os.altsep or os.sep}
    return text.lower().endswith(_SUFFIXES) or any(separator in text for separator in separators)


def _registered(name: str, host: Host) -> tuple[str, bytes]:
    try:
        qualified, spec = host.recipe(name)
    except UnknownName as error:
        remedy = f"write ./{name} for the file of that name" if os.path.isfile(name) else error.remedy
        raise _failure(name, error.message, remedy) from None
    package, _, inside = spec.path.partition(":")
    try:
        file = importlib.resources.files(package).joinpath(*inside.split("/"))
        with file.open("rb") as stream:
            return f"{package}:{inside}", stream.read(_ENOUGH)
    except Exception as error:
        raise PluginError(
            f"recipe {qualified!r}: {spec.path!r} cannot be read: {error}",
            remedy="reinstall the package that brings it",
        ) from error


def _suggestion(text: str, host: Host) -> str:
    path = Path(text)
    names = [qualified for qualified, _ in host.all(RecipeSource)]
    close = difflib.get_close_matches(path.stem[:100], names, n=1, cutoff=0.75)
    folder = path.parent
    try:
        siblings = [
            entry.name for entry in islice(os.scandir(folder), 1000) if entry.name.endswith(_SUFFIXES)
        ]
    except (OSError, ValueError):
        return f"there is no folder {str(folder)!r} either"
    file = difflib.get_close_matches(path.name[:100], siblings, n=1, cutoff=0.75)
    if file:
        return f"did you mean {str(folder / file[0])!r}?"
    if close:
        return (
            f"did you mean {close[0]!r}, the recipe in the box?"
            if "/" not in close[0]
            else f"did you mean {close[0]!r}?"
        )
    return f"recipes without a file: {', '.join(names)}"


def _failure(name: str, message: str, remedy: str) -> RecipeError:
    problem = Problem(message, remedy, source=name, code="not-found")
    return RecipeError(render([problem]), [problem])
