"""Where a factory is written, without importing it: its file is found through its top package and read as text."""

from __future__ import annotations

import ast
import importlib.util
import inspect
from dataclasses import dataclass
from pathlib import Path

from ..contracts.specs import Factory


@dataclass(frozen=True, slots=True)
class Source:
    """`line` counts from 1; 0 where only the file is known."""

    file: Path
    line: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else str(self.file)


def locate(factory: Factory) -> Source | None:
    """The file and line of what `factory` names; None where there is no such file, or no Python in it to read."""
    if not isinstance(factory, str):
        return _of_object(factory)
    module, _, attribute = factory.partition(":")
    file = _file_of(module)
    if file is None:
        return None
    return Source(file, _line_of(file, attribute))


def _of_object(factory: object) -> Source | None:
    try:
        file = inspect.getsourcefile(factory)  # type: ignore[arg-type]
        line = inspect.getsourcelines(factory)[1]  # type: ignore[arg-type]
    except (TypeError, OSError):
        return None
    return Source(Path(file), line) if file else None


def _file_of(module: str) -> Path | None:
    top, *rest = module.split(".")
    try:
        spec = importlib.util.find_spec(top)  # a top module's spec is found without importing anything
    except (ImportError, ValueError):
        return None
    if spec is None:
        return None
    if not rest:
        return Path(spec.origin) if spec.origin and Path(spec.origin).exists() else None
    for folder in spec.submodule_search_locations or ():
        place = Path(folder).joinpath(*rest)
        for file in (place.with_name(f"{place.name}.py"), place / "__init__.py", *_compiled(place)):
            if file.is_file():
                return file
    return None


def _compiled(place: Path) -> list[Path]:
    return sorted(path for kind in ("so", "pyd") for path in place.parent.glob(f"{place.name}.*{kind}"))


def _line_of(file: Path, attribute: str) -> int:
    """Where `attribute` ("Class.method") is defined or assigned in `file`, the last time as Python would have it."""
    if file.suffix != ".py":
        return 0
    try:
        body = ast.parse(file.read_bytes()).body
    except (SyntaxError, ValueError, OSError):
        return 0
    line = 0
    for name in attribute.split("."):
        found = [node for node in body if name in _names(node)]
        if not found:
            return line
        line, body = found[-1].lineno, getattr(found[-1], "body", [])
    return line


def _names(node: ast.stmt) -> set[str]:
    if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        return {node.name}
    if isinstance(node, ast.Assign):
        return {target.id for target in node.targets if isinstance(target, ast.Name)}
    if isinstance(node, ast.ImportFrom | ast.Import):
        return {alias.asname or alias.name for alias in node.names}
    return (
        {node.target.id} if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) else set()
    )
