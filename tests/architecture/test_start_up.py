"""What must start quickly imports no more than it needs, torch least of all."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RECIPE = ROOT / "docs" / "recipes" / "sample.yaml"
HEAVY = ("torch", "transformers", "numpy")
PLUGINS = ("pluggy", "importlib.metadata", "decodery.host.loader")
COMMANDS = [
    (["--version"], ("typer", "pydantic", "rich", *PLUGINS)),
    (["--help"], ("pydantic", "rich", "yaml", "decodery.cli.generate", *PLUGINS)),
    # typer reads the arguments of a command with pydantic from 0.29 on, so nothing below is spared that.
    (["generate", "--help"], ("rich", "yaml", "decodery.cli.generate", "decodery.builtin")),
    (["chat", "--help"], ("rich", "yaml", "decodery.cli.chat.command", "decodery.builtin")),
    (["detect", "--help"], ("rich", "yaml", "decodery.cli.detect", "decodery.builtin")),
    (["recipe", "check", "--help"], ("rich", "yaml", "decodery.builtin")),
    (["plugins", "list"], ("rich", "yaml", "decodery.builtin", "decodery.cli.generate")),
    (
        ["recipe", "check", str(RECIPE)],
        (
            "rich",
            "decodery.engine",
            "decodery.cli.plugins",
            "decodery.recipe.presets",
            "decodery.host.doctor",
        ),
    ),
    (
        ["recipe", "export", str(RECIPE), "--to", "llama.cpp"],
        ("rich", "decodery.engine", "decodery.cli.plugins"),
    ),
]
"""Command line, and what it must not import besides what is heavy."""
DEMO = "decodery_demo"
SCRIPT = """
import sys
from decodery.cli.app import main
try:
    code = main(sys.argv[1:])
except SystemExit as stop:
    code = stop.code
print("IMPORTED", *sys.modules, file=sys.stderr)
sys.exit(code)
"""


def imported(arguments: list[str], **env: str) -> set[str]:
    """The modules of a process that ran `decodery ARGUMENTS`; DECODERY_PLUGINS is as `env` says, or unset."""
    inherited = {name: value for name, value in os.environ.items() if name != "DECODERY_PLUGINS"}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *arguments],
        capture_output=True,
        text=True,
        env={**inherited, **env},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    [line] = [line for line in done.stderr.splitlines() if line.startswith("IMPORTED ")]
    return set(line.split()[1:])


@pytest.mark.parametrize(("arguments", "spared"), COMMANDS, ids=lambda value: " ".join(value)[:40])
def test_it_starts_with_no_more_than_it_needs(arguments: list[str], spared: tuple[str, ...]) -> None:
    modules = imported(arguments, DECODERY_PLUGINS="")
    assert "decodery.cli.app" in modules
    assert modules.isdisjoint({*HEAVY, *spared})


@pytest.mark.skipif(importlib.util.find_spec(DEMO) is None, reason="decodery-demo is not installed")
@pytest.mark.parametrize(("arguments", "spared"), COMMANDS, ids=lambda value: " ".join(value)[:40])
def test_an_installed_plugin_makes_no_difference(arguments: list[str], spared: tuple[str, ...]) -> None:
    assert imported(arguments).isdisjoint({*HEAVY, *spared, DEMO})


@pytest.mark.parametrize(
    "module",
    [
        "decodery",
        "decodery.contracts.specs",
        "decodery.contracts.protocols",
        "decodery.host.registry",
        "decodery.recipe.recipe",
        "decodery.builtin.plugin",
    ],
)
def test_importing_it_does_not_import_torch(module: str) -> None:
    code = f"import sys, {module}; sys.exit(any(name in sys.modules for name in {HEAVY!r}))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_recipe_of_lowered_steps_never_imports_transformers() -> None:
    code = """
import sys, torch
from decodery import Decoder, Recipe
from decodery.testing import TableModel
Decoder(TableModel(40), "chat", vocab_size=40, eos_token_id=1).generate([[1, 2]], max_new_tokens=3)
sys.exit("transformers" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_process_ends_without_a_last_collection() -> None:
    """What is frozen is not looked at: that takes as long as a part of the start. In a test's process nothing is."""
    code = """
import gc, sys
from decodery.cli.app import main, process
sys.argv = ["decodery", "--version"]
assert main() == 0 and not gc.get_freeze_count()
assert process() == 0 and gc.get_freeze_count()
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert '\n[project.scripts]\ndecodery = "decodery.cli.app:process"\n' in project
