"""`decodery plugins new NAME`: a complete small plugin, to be changed into one's own.

The package in `cli/scaffold/` is written out with its name replaced. It is a whole one as it lies there: it can be
read, linted and installed.
"""

from __future__ import annotations

import importlib.util
import keyword
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from importlib.resources import files
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from ...contracts.errors import InvalidInput
from ..console import Console

if TYPE_CHECKING:
    from importlib.abc import Traversable

NAME, MODULE = "acme-decode", "acme_decode"
_WELL_FORMED = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*\Z")
_LONGEST = 60


def new(name: str, into: Path) -> int:
    """Write the package `name` into a folder of that name in `into` -> the exit code. Raises `InvalidInput`."""
    console = Console()
    folder = into / checked(name)
    written = write(folder)
    console.line(f"{folder}: {len(written)} files")
    for path in written:
        console.line(f"  {path}")
    console.say(
        f"\nnext:\n  pip install -e {_argument(folder)}\n  python -m pytest {folder}\n"
        f"  decodery plugins show {folder.name}"
    )
    return 0


def checked(name: str) -> str:
    """The distribution's name, as pip compares names. Raises `InvalidInput` saying what would do."""
    normal = re.sub(r"[-_.]+", "-", name)
    module = normal.replace("-", "_")
    if not _WELL_FORMED.match(normal) or len(normal) > _LONGEST:
        raise InvalidInput(
            f"{name[:80]!r} is no name for a plugin: small letters, digits and '-', starting with a letter",
            remedy=f"for example {_like(name)!r}",
        )
    if _is_taken(module):
        raise InvalidInput(
            f"{name!r} cannot be a plugin's name: Python or decodery has a module {module!r}",
            remedy=f"for example '{normal}-decode'",
        )
    if _is_installed(module):
        raise InvalidInput(
            f"a package with the module {module!r} is installed already",
            remedy=f"choose another name, for example '{normal}-decode', or 'pip uninstall {normal}' first",
        )
    return normal


def write(folder: Path) -> list[PurePosixPath]:
    """Write the package into `folder`, whose name is the package's -> the files below it.

    All or nothing: it is made beside its place and then moved there. Raises `InvalidInput` when the place is taken or
    cannot be written.
    """
    try:
        if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
            raise InvalidInput(
                f"{folder} is there already",
                remedy="nothing was written; choose another name or '--into' folder",
            )
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".decodery-new-", dir=folder.parent) as draft:
            made = Path(draft) / folder.name
            written = sorted(_written(made, folder.name))
            with suppress(FileNotFoundError):
                folder.rmdir()  # an empty folder, which not every system lets another be moved onto
            made.rename(folder)
    except OSError as error:
        raise InvalidInput(
            f"{folder} cannot be written: {error.strerror or error}", remedy="choose another '--into' folder"
        ) from error
    return written


def _written(folder: Path, name: str) -> Iterator[PurePosixPath]:
    root = files("decodery.cli") / "scaffold" / NAME
    for source, relative in _walk(root, PurePosixPath()):
        path = PurePosixPath(_renamed(str(relative), name))
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(_renamed(source.read_text(encoding="utf-8"), name), encoding="utf-8")
        yield path


def _walk(folder: Traversable, below: PurePosixPath) -> Iterator[tuple[Traversable, PurePosixPath]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            # Tools leave folders of their own beside code that they have read.
            if not entry.name.startswith((".", "__")):
                yield from _walk(entry, below / entry.name)
        else:
            yield entry, below / entry.name


def _renamed(text: str, name: str) -> str:
    return text.replace(NAME, name).replace(MODULE, name.replace("-", "_"))


def _like(name: str) -> str:
    """What is left of `name` in the allowed letters."""
    kept = (
        re.sub(r"[^a-z0-9]+", "-", name.lower())[: _LONGEST - len("-decode")].strip("-0123456789") or "acme"
    )
    return f"{kept}-decode" if _is_taken(kept.replace("-", "_")) else kept


def _is_taken(module: str) -> bool:
    ours = module in ("tests", "decodery")
    return ours or keyword.iskeyword(module) or module in sys.stdlib_module_names


def _is_installed(module: str) -> bool:
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return False
    return spec is not None and spec.origin is not None  # a mere folder of that name is no package


def _argument(folder: Path) -> str:
    """`folder` as pip takes it: a path and not a name."""
    return str(folder) if folder.is_absolute() else f"./{folder}"
