"""A floor imports only floors below it, rooms of one floor do not import each other, and nothing goes in circles."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import decodery

SOURCE = Path(__file__).parents[2] / "src" / "decodery"
FLOORS = {
    "contracts": 0,
    "host": 1,
    "recipe": 2,
    "models": 2,
    "kernels": 2,
    "builtin": 2,
    "engine": 3,
    "insight": 4,
    "batch": 4,
    "cli": 5,
    "testing": 6,
}
# The one lazy import upward: `Recipe.pipeline()` is where a reader of recipes expects the way on.
UPWARD = {("recipe", "engine")}
# What `plugins new` writes is an outsider's package.
FILES = sorted(path for path in SOURCE.rglob("*.py") if "scaffold" not in path.parts)


def module_of(path: Path) -> str:
    parts = ["decodery", *path.relative_to(SOURCE).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path, *, typing_too: bool = True) -> Iterator[str]:
    """Absolute names of every decodery module that a file imports."""
    module = module_of(path)
    package = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
    tree = ast.parse(path.read_text())
    hidden = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in hidden and not typing_too:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == "decodery")
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            name = ".".join([*base, *([node.module] if node.module else [])])
            if name.split(".")[0] == "decodery":
                yield from (f"{name}.{alias.name}" for alias in node.names)


def room_of(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in FLOORS else ""


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_imports_go_down(path: Path) -> None:
    room = room_of(module_of(path))
    if not room:
        return  # the public face re-exports lazily from every floor
    for name in imports(path):
        other = room_of(name)
        if other and other != room and (room, other) not in UPWARD:
            assert FLOORS[other] < FLOORS[room], f"{module_of(path)} imports {name}"


def test_every_room_has_a_floor() -> None:
    rooms = {path.name for path in SOURCE.iterdir() if path.is_dir() and not path.name.startswith("__")}
    assert rooms <= set(FLOORS)


def test_the_lazy_import_upward_stands_in_one_file_inside_a_function() -> None:
    """`recipe/recipe.py`, for `Recipe.pipeline()`, and nowhere else."""
    upward = [
        path
        for path in FILES
        if room_of(module_of(path)) == "recipe" and any(room_of(name) == "engine" for name in imports(path))
    ]
    assert [path.name for path in upward] == ["recipe.py"]
    top_level = ast.parse(upward[0].read_text()).body
    assert not [
        node for node in top_level if isinstance(node, ast.ImportFrom) and "engine" in (node.module or "")
    ]


def test_the_lazy_import_upward_is_the_only_one() -> None:
    found = {
        (room_of(module_of(path)), room_of(name))
        for path in FILES
        for name in imports(path)
        if room_of(name)
        and room_of(module_of(path))
        and FLOORS[room_of(name)] >= FLOORS[room_of(module_of(path))]
        and room_of(name) != room_of(module_of(path))
    }
    assert found == UPWARD


def test_modules_do_not_import_in_circles() -> None:
    known = {module_of(path) for path in FILES}
    graph = {
        module_of(path): {
            found
            for name in imports(path, typing_too=False)
            if (found := name if name in known else name.rpartition(".")[0]) in known
        }
        for path in FILES
    }
    # The lazy import upward closes a circle on paper; at run time it happens after both modules are loaded.
    graph["decodery.recipe.recipe"].discard("decodery.engine.pipeline")
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " -> ".join([*path, module])
        if module not in done:
            for other in graph[module] - {module}:
                visit(other, (*path, module))
            done.add(module)

    for module in graph:
        visit(module, ())


def test_the_plugin_in_the_box_is_an_outsider() -> None:
    """builtin/ imports contracts/ and nothing else of ours; the bridge to transformers also the public face, as anybody
    may, when it is called."""
    for path in (SOURCE / "builtin").rglob("*.py"):
        rooms = {room_of(name) for name in imports(path)}
        if path.name == "hf_bridge.py":
            at_start = ast.parse(path.read_text()).body
            assert not [node for node in at_start if getattr(node, "module", None) == "decodery"]
            public = {name for name in imports(path) if not room_of(name)}
            assert public <= {f"decodery.{name}" for name in decodery.__all__}
            rooms -= {""}
        assert rooms <= {"contracts", "builtin"}, path
