"""What must start quickly does not import torch."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

RECIPE = Path(__file__).parents[2] / "docs" / "recipes" / "sample.yaml"
HEAVY = ("torch", "transformers", "numpy")
COMMANDS = [
    ["--version"],
    ["--help"],
    ["generate", "--help"],
    ["plugins", "list"],
    ["recipe", "check", str(RECIPE)],
]
SCRIPT = """
import sys
from decodery.cli.app import main
try:
    code = main(sys.argv[1:])
except SystemExit as stop:
    code = stop.code
print("HEAVY", [name for name in {heavy!r} if name in sys.modules], file=sys.stderr)
sys.exit(code)
"""


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_it_starts_without_torch(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(heavy=HEAVY), *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "DECODERY_PLUGINS": ""},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "HEAVY []" in done.stderr
    assert done.stdout.strip()


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
