"""Runs the blocks of a page in order, in one namespace and one working directory."""

from __future__ import annotations

import importlib
import importlib.metadata
import io
import logging
import os
import shlex
import shutil
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from unittest import mock

from pages import Block, agrees, blocks, commands, output_of

from decodery import Recipe
from decodery.cli.app import main
from decodery.host.loader import GROUP
from decodery.host.registry import Host
from decodery.recipe.advice import advise
from decodery.recipe.compose.sources import Found, Place
from decodery.recipe.recipe import examine

if sys.version_info >= (3, 11):
    import tomllib
else:  # what pytest itself brings there
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted(p for p in (ROOT / "docs").rglob("*.md") if "_build" not in p.parts)]


@dataclass(frozen=True)
class Ran:
    """What a block or a command printed, and where the page shows it: the lines first to last, counted from 1
    (last = first - 1 for none). `shown` is None where the page shows nothing to compare with."""

    name: str
    printed: str
    shown: str | None
    sample: bool
    first: int = 0
    last: int = 0

    @property
    def problem(self) -> str:
        if self.shown is None:
            return ""
        if self.sample:
            return "" if self.printed.strip() else f"{self.name} printed nothing"
        if agrees(self.shown, self.printed):
            return ""
        return f"{self.name}: the page shows\n{self.shown}\nbut it printed\n{self.printed}"


class WrongExitCode(AssertionError):
    """A command failed, and the page does not say so with `$ echo $?`."""


def run_page(path: Path, place: Path) -> Iterator[Ran]:
    """Run the page in the folder `place`, which gets a copy of docs/recipes; yields what each block printed.

    To a page decodery and decodery-demo are installed, and what it installs itself.
    """
    shutil.copytree(ROOT / "docs" / "recipes", place / "docs" / "recipes")
    page = path.read_text(encoding="utf-8")
    found = list(blocks(page))
    module = types.ModuleType("page")
    with _world(place, module):
        for block, following in zip(found, [*found[1:], None], strict=True):
            if block.not_run:
                continue
            name = f"{path.name}:{block.first}"
            if block.file:
                file = place / block.file
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(block.text, encoding="utf-8")
            elif block.language == "python":
                output = output_of(block, following, page)
                printed = _execute(block, str(path), module)
                yield Ran(
                    name,
                    printed,
                    output.text if output else None,
                    bool(output and output.is_sample),
                    output.first + 1 if output else 0,
                    output.last - 1 if output else 0,
                )
            elif block.language == "console":
                yield from _run_console(block, path.name)
            elif block.reports:
                yield _report(block, name)
            elif block.is_recipe:
                Recipe.loads(block.text, source=name)


def _report(block: Block, name: str) -> Ran:
    """The codes of what is wrong with a recipe: one that is shown for a mistake has that mistake and no other."""
    examined = examine(Found(name, block.text, Place("")), (), Host())
    codes = {problem.code for problem in (*examined.problems, *advise(examined))}
    return Ran(name, "\n".join(sorted(codes)), block.reports, False)


def _run_console(block: Block, page: str) -> Iterator[Ran]:
    code = 0
    todo = list(commands(block))
    for command, following in zip(todo, [*todo[1:], None], strict=True):
        name = f"{page}:{command.line}"
        call = read_command(command.text)
        if command.text == "echo $?":
            printed = f"{code}\n"
        elif command.text.startswith(("pip install ./", "pip install -e ./")):
            install(Path(command.text.rpartition(" ")[2]))
            continue
        elif call is None:
            continue
        else:
            stream = io.StringIO()
            code = _run_command(call, stream)
            printed = stream.getvalue()
            if code and (following is None or following.text != "echo $?"):
                raise WrongExitCode(f"{name}: exit code {code}\n{printed}")
        yield Ran(
            name,
            printed,
            "\n".join(command.shown),
            block.is_sample,
            command.last + 1,
            command.last + len(command.shown),
        )


@dataclass(frozen=True)
class Call:
    settings: dict[str, str]
    stdin: str
    arguments: list[str]


def read_command(text: str) -> Call | None:
    """`[NAME=VALUE ...] decodery ...`, `echo TEXT | decodery ...` or `printf TEXT | ...`, in which \\n ends a line;
    None for others, which are not run."""
    words = shlex.split(text)
    if "decodery" not in words:
        return None
    at = words.index("decodery")
    before, arguments = words[:at], words[at + 1 :]
    if before[:1] == ["echo"] and before[-1] == "|":
        return Call({}, " ".join(before[1:-1]) + "\n", arguments)
    if before[:1] == ["printf"] and len(before) == 3 and before[-1] == "|":
        return Call({}, before[1].replace("\\n", "\n"), arguments)
    if all("=" in word for word in before):
        return Call(dict(word.split("=", 1) for word in before), "", arguments)
    return None


def install(folder: Path) -> None:
    """What pip's editable install leaves behind; pip itself would ask the network for a build backend. A folder that
    the page has not written is the repository's own."""
    folder = folder if folder.exists() else ROOT / folder
    project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    name, version = project["name"], project["version"]
    points = project["entry-points"][GROUP]
    info = Path("installed").absolute() / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    said = {"Metadata-Version": "2.1", "Name": name, "Version": version, "Summary": project["description"]}
    (info / "METADATA").write_text("".join(f"{key}: {value}\n" for key, value in said.items()))
    lines = [f"[{GROUP}]", *(f"{key} = {value}" for key, value in points.items())]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
    sys.path[:0] = [str(info.parent), str((folder / "src").absolute())]
    importlib.invalidate_caches()


def _run_command(call: Call, stream: io.StringIO) -> int:
    """The exit code; both streams go to `stream`, one after the other as they are written."""
    _forget_modules(Path.cwd())  # a process of its own would read what the page has written meanwhile
    stdin = io.TextIOWrapper(io.BytesIO(call.stdin.encode()), encoding="utf-8")
    with (
        mock.patch.dict(os.environ, call.settings),
        mock.patch.object(sys, "stdin", stdin),
        _log_to(stream),
        redirect_stdout(stream),
        redirect_stderr(stream),
    ):
        return main(call.arguments)


@contextmanager
def _log_to(stream: io.StringIO) -> Iterator[None]:
    """A process of its own has no handlers, so that warnings are plain lines on stderr; here pytest has some."""
    log = logging.getLogger("decodery")
    level, handler = log.level, logging.StreamHandler(stream)
    log.addHandler(handler)
    log.propagate = False
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.propagate = True
        log.setLevel(level)


def _execute(block: Block, path: str, module: types.ModuleType) -> str:
    """What the block prints."""
    stream = io.StringIO()
    # Blank lines before it give the lines of a traceback their numbers in the page.
    code = compile("\n" * block.first + block.text, path, "exec")
    with redirect_stdout(stream):
        exec(code, vars(module))
    return stream.getvalue()


@contextmanager
def _world(place: Path, module: types.ModuleType) -> Iterator[None]:
    """The working directory, environment, import path and modules, all put back afterwards."""
    here, path = os.getcwd(), list(sys.path)
    others = partial(_distributions, place)
    with (
        mock.patch.dict(os.environ, {"COLUMNS": "80", "HF_HUB_OFFLINE": "1"}),
        mock.patch("importlib.metadata.distributions", others),
        mock.patch("decodery.host.loader.distributions", others),
    ):
        os.environ.pop("DECODERY_PLUGINS", None)
        os.chdir(place)
        sys.modules[module.__name__] = module  # dataclasses ask for the module of their class
        try:
            yield
        finally:
            del sys.modules[module.__name__]
            os.chdir(here)
            sys.path[:] = path
            _forget_modules(place)


def _forget_modules(place: Path) -> None:
    """Only what came from the page goes: a library that is loaded stays loaded."""
    for name, module in list(sys.modules.items()):
        if str(place) in str(getattr(module, "__file__", None)):
            del sys.modules[name]
    importlib.invalidate_caches()


def _distributions(place: Path) -> list[importlib.metadata.Distribution]:
    """Whatever else is installed here, a page shows the same."""
    found = []
    for distribution in importlib.metadata.Distribution.discover():
        is_plugin = any(point.group == GROUP for point in distribution.entry_points)
        its_own = str(place) in str(distribution.locate_file(""))
        if not is_plugin or its_own or distribution.metadata["Name"] == "decodery-demo":
            found.append(distribution)
    return found
