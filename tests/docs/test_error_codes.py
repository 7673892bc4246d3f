"""Every code of a problem is explained on the page "Errors", with an example that the page's own test runs."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import get_args

import pytest
from pages import blocks

from decodery.recipe.codes import WARNINGS, Code

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reference" / "errors.md").read_text(encoding="utf-8")
CODES = get_args(Code)


@pytest.mark.parametrize("code", CODES)
def test_a_code_has_its_place_on_the_page_and_an_example_that_is_run(code: str) -> None:
    told = re.search(rf"^(#### `{code}`$|\| `{code}` \| [^|]+ \| [^|]+ \|$)", PAGE, re.MULTILINE)
    assert told, f"{code} is not explained"
    shown = [block for block in blocks(PAGE) if block.reports == code]
    printed = [
        block for block in blocks(PAGE) if block.language == "text" and re.search(rf"\b{code}\b", block.text)
    ]
    assert shown or printed, f"{code} has no example"


def test_the_page_explains_no_code_that_is_not_there() -> None:
    assert set(re.findall(r"^#### `([a-z0-9-]+)`$", PAGE, re.MULTILINE)) <= set(CODES)
    assert {block.reports for block in blocks(PAGE)} - {""} <= set(CODES)


def test_every_code_in_the_source_is_known_and_every_known_code_is_used() -> None:
    """mypy holds the calls to `Code`; this holds `Code` to the calls."""
    used = set()
    for path in (ROOT / "src" / "decodery" / "recipe").rglob("*.py"):
        if path.name != "codes.py":
            used |= {
                node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant)
            }
    assert set(CODES) <= used
    assert set(WARNINGS) <= set(CODES)
