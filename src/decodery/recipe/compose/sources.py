"""Where a recipe's bytes come from: a file, the box, or a plugin's package."""

from __future__ import annotations

import difflib
import importlib.resources
import os
import posixpath
import stat
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from ...contracts.errors import DecoderyError, InvalidInput, PluginError, RecipeError, UnknownName
from ...contracts.specs import RecipeSource
from ...host.registry import Host
from ..names import QUALIFIED
from ..report import Problem, render
from ..syntax.text import MAX_BYTES

_SUFFIXES = (".yaml", ".yml")
_ENOUGH = MAX_BYTES + 1  # one byte more than is allowed, so that the limit can be seen to be passed


@dataclass(frozen=True, slots=True)
class Place:
    """Where the relative paths of a recipe begin: a folder, or with `package` a folder inside of that package."""

    folder: str
    package: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """A recipe's bytes (or text), its name for messages, and where it lies: None for a text without a file.

    `identity` tells two ways to the same file from two files.
    """

    name: str
    raw: str | bytes
    place: Place | None = None
    identity: str = ""


class NotFound(DecoderyError):
    """There is no such recipe, or it cannot be read."""


def fetch(source: str | os.PathLike[str], host: Host) -> Found:
    """The recipe at a path or of a name. A path is a `PathLike`, has a separator, or ends in .yaml or .yml.

    Raises `RecipeError`, and `PluginError` when a plugin's recipe cannot be read.
    """
    if not isinstance(source, (str, bytes, os.PathLike)):
        raise InvalidInput(
            f"a recipe is named by a path or a name, not by a {type(source).__name__}",
            remedy="Recipe.from_dict reads a mapping, Recipe.loads a text",
        )
    text = os.fsdecode(source)
    try:
        if not isinstance(source, str):
            return _from_file(text, host)
        if not looks_like_path(text):
            return _registered(text, host)
        try:
            return _from_file(text, host)
        except NotFound:
            if QUALIFIED.match(text) and not os.path.exists(text):
                return _registered(text, host)
            raise
    except NotFound as error:
        problem = Problem(error.message, error.remedy, text, code="not-found")
        raise RecipeError(render([problem]), [problem]) from None


def fetch_base(reference: str, place: Place | None, host: Host) -> Found:
    """What `extends: reference` names, said in a recipe that lies at `place`: a relative path, or a name.

    Raises `NotFound`.
    """
    try:
        folder = None if place is None or place.package else place.folder
        if not looks_like_path(reference):
            return _registered(reference, host, folder)
        if QUALIFIED.match(reference) and not reference.lower().endswith(_SUFFIXES):
            # "acme-decode/chat" is a plugin's recipe; the file of that name is "./acme-decode/chat".
            return _registered(reference, host, folder)
        if os.path.isabs(reference):
            raise NotFound(
                "the path begins at the root", remedy="write it relative to this file, like ./chat.yaml"
            )
        if place is None:
            raise NotFound(
                "a text without a file has no folder to look in",
                remedy="Recipe.load reads a file and those beside it; Recipe.loads takes folder='.'",
            )
        if place.package:
            return _beside(reference, place)
        return _from_file(os.path.normpath(os.path.join(place.folder, reference)), host, regular=True)
    except PluginError as error:
        raise NotFound(error.message, remedy=error.remedy) from None


def looks_like_path(text: str) -> bool:
    """It has a separator, or ends like a file of YAML."""
    separators = {"/", os.sep, os.altsep or os.sep}
    return text.lower().endswith(_SUFFIXES) or any(separator in text for separator in separators)


def _from_file(text: str, host: Host, *, regular: bool = False) -> Found:
    """`regular`: nothing but a plain file will do, since a pipe or a device may have no end."""
    try:
        if regular and not stat.S_ISREG(os.stat(text).st_mode) and not os.path.isdir(text):
            raise NotFound("this is no plain file", remedy="name a file of YAML")
        with open(text, "rb") as file:
            raw = file.read(_ENOUGH)
        return Found(text, raw, Place(os.path.dirname(text)), os.path.realpath(text))
    except FileNotFoundError:
        raise NotFound(f"there is no file {text!r}", remedy=_suggestion(text, host)) from None
    except IsADirectoryError:
        raise NotFound("this is a folder", remedy="name a file in it") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise NotFound(
            f"the file cannot be read: {reason}", remedy="check the path and its permissions"
        ) from None


def _registered(name: str, host: Host, folder: str | None = "") -> Found:
    """`folder` is where a file may lie that was meant, None where there is none to look in."""
    try:
        qualified, spec = host.recipe(name)
    except UnknownName as error:
        files = (name, *(name + suffix for suffix in _SUFFIXES)) if folder is not None else ()
        meant = next((file for file in files if os.path.isfile(os.path.join(folder or "", file))), None)
        remedy = f"write ./{meant} for the file of that name" if meant else error.remedy
        if name and not meant and folder is not None and os.path.isdir(os.path.join(folder, name)):
            remedy = (
                f"there is a folder of that name; name a file in it, like {os.path.join(name, 'chat.yaml')}"
            )
        raise NotFound(error.message, remedy=remedy) from None
    package, _, inside = spec.path.partition(":")
    try:
        return _from_package(package, inside)
    except Exception as error:
        raise PluginError(
            f"recipe {qualified!r}: {spec.path!r} cannot be read: {error}",
            remedy="reinstall the package that brings it",
        ) from error


def _beside(reference: str, place: Place) -> Found:
    """A file of the same package."""
    inside = posixpath.normpath(posixpath.join(place.folder, reference))
    if inside.startswith("../"):
        raise NotFound("the path leads out of its package", remedy="name a file of the package, or a recipe")
    try:
        return _from_package(place.package, inside)
    except Exception as error:
        raise NotFound(
            f"{place.package}:{inside} cannot be read: {error}", remedy="reinstall the package"
        ) from None


def _from_package(package: str, inside: str) -> Found:
    file = importlib.resources.files(package).joinpath(*inside.split("/"))
    with file.open("rb") as stream:
        raw = stream.read(_ENOUGH)
    name = f"{package}:{inside}"
    return Found(name, raw, Place(posixpath.dirname(inside), package), name)


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
