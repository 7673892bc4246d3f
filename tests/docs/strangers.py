"""A page walked as a stranger would: a fresh environment, an empty folder, and pip, pytest, decodery as processes."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

from pages import blocks, commands
from runner import ROOT

PROGRAMS = {
    # No network: what the package needs is there.
    "pip": ["-m", "pip", "--disable-pip-version-check"],
    "pytest": ["-m", "pytest", "-q", "-p", "no:hypothesispytest"],
    "decodery": ["-m", "decodery"],
}
OFFLINE = ["--no-index", "--no-deps", "--no-build-isolation", "--quiet"]


def environment(home: Path) -> Path:
    """The interpreter of a new environment, in which decodery, its demo model and pip are to be found, no more."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(home)], check=True)
    [site] = [*home.glob("lib/python*/site-packages"), *home.glob("Lib/site-packages")]
    found = [
        path for path in sys.path if path and Path(path).is_dir() and not path.startswith(str(ROOT / "tests"))
    ]
    (site / "what_is_here.pth").write_text("\n".join(found))
    return next(path for path in (home / "bin" / "python", home / "Scripts" / "python.exe") if path.exists())


def walk(page: Path, python: Path, folder: Path, fails: str = "\n") -> dict[str, str]:
    """Write the page's files and run its commands in the empty `folder`; what each printed. A command that contains
    `fails` must fail, and the others must not."""
    folder.mkdir()
    variables = {k: v for k, v in os.environ.items() if k not in ("DECODERY_PLUGINS", "PYTHONPATH")}
    said: dict[str, str] = {}
    for block in blocks(page.read_text(encoding="utf-8")):
        if block.file:
            (folder / block.file).parent.mkdir(parents=True, exist_ok=True)
            (folder / block.file).write_text(block.text, encoding="utf-8")
        for command in commands(block) if block.language == "console" else ():
            if command.text == "echo $?":
                continue
            program, *arguments = shlex.split(command.text.removeprefix("python -m "))
            more = OFFLINE if program == "pip" else []
            done = subprocess.run(
                [str(python), *PROGRAMS[program], *arguments[:1], *more, *arguments[1:]],
                cwd=folder,
                env=variables,
                capture_output=True,
                text=True,
                check=False,
                timeout=300,
            )
            expected = int(fails in command.text)
            assert done.returncode == expected, f"$ {command.text}\n{done.stdout}\n{done.stderr}"
            said[command.text] = done.stdout
    return said
