"""Where a factory is written is found without importing it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from decodery.contracts.specs import StepSpec
from decodery.host.registry import Host
from decodery.host.source import locate

CODE = """raise RuntimeError("imported")

class Step:
    def make(self):
        pass

async def later(): ...
LIMIT: int = 3
a = b = print
from json import loads as parse
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    folder = tmp_path / "located" / "inner"
    folder.mkdir(parents=True)
    for name, text in {"__init__": "1 / 0", "steps": CODE, "broken": "def (", "fast.cpython": ""}.items():
        (folder / f"{name}.{'so' if 'fast' in name else 'py'}").write_text(text)
    (tmp_path / "located" / "__init__.py").write_text("1 / 0")
    return folder


@pytest.mark.parametrize(
    ("pointer", "file", "line"),
    [
        ("located.inner.steps:Step", "steps.py", 3),
        ("located.inner.steps:Step.make", "steps.py", 4),
        ("located.inner.steps:later", "steps.py", 7),
        ("located.inner.steps:LIMIT", "steps.py", 8),
        ("located.inner.steps:b", "steps.py", 9),
        ("located.inner.steps:parse", "steps.py", 10),
        ("located.inner.steps:Absent", "steps.py", 0),
        ("located.inner.broken:Step", "broken.py", 0),
        ("located.inner.fast:Step", "fast.cpython.so", 0),
        ("located.inner:Step", "__init__.py", 0),
    ],
)
def test_file_and_line_without_an_import(pointer: str, file: str, line: int, package: Path) -> None:
    found = locate(pointer)
    assert found is not None
    assert (found.file, found.line) == (package / file, line)
    assert "located" not in sys.modules


@pytest.mark.parametrize("pointer", ["located.nowhere:Step", "no_such_package.steps:Step", "no_such:x"])
def test_what_is_not_there_is_none(pointer: str, package: Path) -> None:
    assert locate(pointer) is None


def test_a_callable_is_found_too() -> None:
    found = locate(locate)
    assert found is not None
    assert found.file.name == "source.py"


def test_every_step_in_the_box_has_a_line() -> None:
    for spec in Host("").builtin(StepSpec):
        found = locate(spec.factory)
        assert found is not None, spec.name
        assert found.line > 0, spec.name
