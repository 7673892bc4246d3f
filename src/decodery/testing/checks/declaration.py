"""What a record promises before it meets a tensor: it builds, points at code, and costs no torch."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import lru_cache
from itertools import takewhile

from ...contracts.specs import StepSpec, resolve
from ...host.doctor import pointers
from ...host.loader import builtin_info, discover
from ..case import Case
from ..samples import score_rows
from .check import check, require


@check("used", remedy="give it parameters that fit, samples={name: {...}}, or mend the factory")
def builds(case: Case) -> None:
    """From default or sample parameters and the facts in `needs`, something callable."""
    for rows in score_rows("lm-like"):
        if isinstance(case.spec, StepSpec):
            made = case.bind(rows).instances
            require(all(map(callable, made)), f"is a {type(made[0]).__name__} that cannot be called")
        elif not getattr(case.spec, "roles", ()):  # further models come with a run
            strategy = case.strategy(rows)
            decodes = hasattr(strategy, "choose") or hasattr(strategy, "decode")
            require(decodes, "has neither choose nor decode")


@check("code", remedy="write 'package.module:attribute' of something that can be called")
def points_at_code(case: Case) -> None:
    """Every string that names code names some."""
    for _, pointer in pointers(case.spec):
        resolve(pointer, f"{case.spec.name!r}")


@check("by_string", remedy="import torch only in the modules that factory strings name")
def imports_without_torch(case: Case) -> None:
    """In a fresh interpreter, the plugin's module and the one of the params class."""
    modules = sorted(_declaring_modules(case))
    loaded = _heavy_after(tuple(modules), tuple(sys.path))
    require(not loaded, f"is declared in {', '.join(modules)}: importing that {loaded}")


def _declaring_modules(case: Case) -> set[str]:
    """The installed entry point that is nearest to the factory, and where the params class lives."""
    factory = next(str(value) for field, value in pointers(case.spec) if field == "factory").partition(":")[0]
    points = [info.module.partition(":")[0] for info in (builtin_info(), *discover(None))]
    depth = {point: _shared_packages(point, factory) for point in points}
    nearest = {point for point in points if depth[point] == max(depth.values()) > 0}
    # A package that nobody installed has no entry point to ask; its own __init__ runs in any case.
    modules = nearest or {factory.partition(".")[0]}
    params = getattr(case.spec, "params", None)
    return modules | ({params.__module__} if params is not None else set())


def _shared_packages(first: str, second: str) -> int:
    """How many leading parts two dotted names share."""
    pairs = zip(first.split("."), second.split("."), strict=False)
    return len(list(takewhile(lambda pair: pair[0] == pair[1], pairs)))


# Stopped at the door, torch costs nothing; noted there, it is found even where a `try` forgives its absence.
_WATCH = """
import importlib, sys
tried = []
class Door:
    def find_spec(name, path=None, target=None):
        if name == "torch":
            tried.append(name)
            raise ImportError("torch is not to be imported here")
sys.meta_path.insert(0, Door)
try:
    for name in sys.argv[1:]:
        importlib.import_module(name)
except ImportError:
    if not tried:
        raise
print("\\nimports torch" if tried else "\\nwithout torch")
"""


@lru_cache(maxsize=64)
def _heavy_after(modules: tuple[str, ...], path: tuple[str, ...]) -> str:
    """What goes wrong when `modules` are imported, "" if nothing. A process for each set of them, not for each step."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, path))}
    command = [sys.executable, "-c", _WATCH, *modules]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    said = done.stdout.strip().rpartition("\n")[2]
    # Words, not the exit code: a module that ends the interpreter may well end it with 0.
    if done.returncode == 0 and said in ("imports torch", "without torch"):
        return "" if said == "without torch" else said
    last = (done.stderr.strip().splitlines() or [f"it ends the interpreter with code {done.returncode}"])[-1]
    return f"fails: {last}"


CHECKS = (builds, points_at_code, imports_without_torch)
