"""The page "Your first plugin in ten minutes", walked as a stranger would: a fresh environment, an empty folder, and
pip, pytest and decodery as processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pages import blocks, commands
from runner import ROOT

PAGE = ROOT / "docs" / "first-plugin.md"
PROGRAMS = {
    # No network: what the package needs is there.
    "pip": ["-m", "pip", "--disable-pip-version-check"],
    "pytest": ["-m", "pytest", "-q", "-p", "no:hypothesispytest"],
    "decodery": ["-m", "decodery"],
}
OFFLINE = ["--no-index", "--no-deps", "--no-build-isolation", "--quiet"]


@pytest.fixture
def python(tmp_path: Path) -> Path:
    """The interpreter of a new environment, in which decodery, its demo model and pip are to be found, no more."""
    home = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(home)], check=True)
    [site] = [*home.glob("lib/python*/site-packages"), *home.glob("Lib/site-packages")]
    found = [
        path for path in sys.path if path and Path(path).is_dir() and not path.startswith(str(ROOT / "tests"))
    ]
    (site / "what_is_here.pth").write_text("\n".join(found))
    return next(path for path in (home / "bin" / "python", home / "Scripts" / "python.exe") if path.exists())


@pytest.mark.slow  # a dozen processes; every page is run by test_code_blocks.py as well
def test_a_stranger_gets_from_an_empty_folder_to_decoded_text(python: Path, tmp_path: Path) -> None:
    pytest.importorskip("hatchling", reason="builds the package without the network")
    folder = tmp_path / "empty"
    folder.mkdir()
    environment = {k: v for k, v in os.environ.items() if k not in ("DECODERY_PLUGINS", "PYTHONPATH")}
    said: dict[str, str] = {}
    for block in blocks(PAGE.read_text(encoding="utf-8")):
        if block.file:
            (folder / block.file).parent.mkdir(parents=True, exist_ok=True)
            (folder / block.file).write_text(block.text, encoding="utf-8")
        for command in commands(block) if block.language == "console" else ():
            if command.text == "echo $?":
                continue
            program, *arguments = command.text.replace('"Once upon a time"', "Once_upon_a_time").split()
            arguments = [argument.replace("_upon_a_", " upon a ") for argument in arguments]
            more = OFFLINE if program == "pip" else []
            done = subprocess.run(
                [str(python), *PROGRAMS[program], *arguments[:1], *more, *arguments[1:]],
                cwd=folder,
                env=environment,
                capture_output=True,
                text=True,
                check=False,
                timeout=300,
            )
            expected = 1 if "above=1.5" in command.text else 0
            assert done.returncode == expected, f"$ {command.text}\n{done.stdout}\n{done.stderr}"
            said[command.text] = done.stdout
    assert "passed" in said["pytest acme"]
    assert "checks of 3 records ran: " in said["pytest acme"]
    assert "checks of 1 records ran: surprise " in said["pytest --decodery-conformance acme"]
    for recipe in ("acme", "surprise.yaml"):
        assert said[f'decodery generate "Once upon a time" -m demo -r {recipe}'].strip()
