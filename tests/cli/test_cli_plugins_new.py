"""`decodery plugins new` writes a whole package, and nothing over anything."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import decodery

if sys.version_info >= (3, 11):
    import tomllib
else:  # what pytest itself brings there
    import tomli as tomllib

SCAFFOLD = Path(decodery.__file__).parent / "cli" / "scaffold"


def test_it_writes_a_package_of_that_name_and_says_what_to_do_next(run, tmp_path):
    outcome = run("plugins", "new", "my_steps", "--into", tmp_path)
    assert outcome.code == 0
    folder = tmp_path / "my-steps"
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert files == {line.strip() for line in outcome.out.splitlines()[1:]}
    assert {"pyproject.toml", "README.md", "src/my_steps/plugin.py", "tests/test_my_steps.py"} <= files
    assert f"pip install -e {folder}" in outcome.err
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    assert project["name"] == "my-steps"
    assert project["entry-points"]["decodery"] == {"my-steps": "my_steps.plugin"}
    assert decodery.__version__ in Requirement(project["dependencies"][0]).specifier


def test_no_trace_of_the_model_is_left(run, tmp_path):
    assert run("plugins", "new", "zeta", "--into", tmp_path).code == 0
    for path in (tmp_path / "zeta").rglob("*"):
        assert "acme" not in str(path.relative_to(tmp_path))
        assert path.is_dir() or "acme" not in path.read_text(encoding="utf-8")


def test_the_scaffold_is_whole_where_it_lies():
    """Every file that the package needs is text of this repository, and no file is another's rubbish."""
    project = tomllib.loads((SCAFFOLD / "acme-decode" / "pyproject.toml").read_text())["project"]
    assert project["name"] == "acme-decode"
    assert [path.name for path in SCAFFOLD.iterdir()] == ["acme-decode"]


def test_nothing_is_written_over(run, tmp_path):
    folder = tmp_path / "taken"
    folder.mkdir()
    (folder / "mine.txt").write_text("mine")
    outcome = run("plugins", "new", "taken", "--into", tmp_path)
    assert (outcome.code, outcome.out) == (1, "")
    assert "is there already" in outcome.err
    assert [path.name for path in tmp_path.rglob("*")] == ["taken", "mine.txt"]
    (tmp_path / "file").write_text("")
    assert "is there already" in run("plugins", "new", "file", "--into", tmp_path).err


def test_an_empty_folder_may_be_filled_and_a_missing_one_is_made(run, tmp_path):
    (tmp_path / "empty").mkdir()
    assert run("plugins", "new", "empty", "--into", tmp_path).code == 0
    assert run("plugins", "new", "deep", "--into", tmp_path / "a" / "b").code == 0
    assert (tmp_path / "a" / "b" / "deep" / "pyproject.toml").exists()
    assert not list(tmp_path.rglob(".decodery-new-*"))


@pytest.mark.parametrize(
    ("name", "words", "remedy"),
    [
        ("My Plugin!", "'My Plugin!' is no name for a plugin", "'my-plugin'"),
        ("", "'' is no name", "'acme'"),
        ("7up", "'7up' is no name", "'up'"),
        ("été", "is no name", "'t'"),
        ("../evil", "'../evil' is no name", "'evil'"),
        ("a" * 61, "is no name", "'aaa"),
        ("json", "Python or decodery has a module 'json'", "'json-decode'"),
        ("class", "has a module 'class'", "'class-decode'"),
        ("torch", "with the module 'torch' is installed already", "'torch-decode'"),
        ("Decodery", "is no name", "'decodery-decode'"),
        ("decodery", "has a module 'decodery'", "'decodery-decode'"),
    ],
)
def test_a_name_that_cannot_be_is_refused_with_one_that_can(name, words, remedy, run, tmp_path):
    outcome = run("plugins", "new", name, "--into", tmp_path)
    assert (outcome.code, outcome.out) == (1, "")
    assert words in outcome.err
    assert re.search(rf"= help: .*{re.escape(remedy)}", outcome.err)
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_told(run, tmp_path):
    (tmp_path / "file").write_text("")
    outcome = run("plugins", "new", "acme-new", "--into", tmp_path / "file" / "below")
    assert outcome.code == 1
    assert "cannot be written: Not a directory" in outcome.err
