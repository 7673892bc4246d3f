"""The page "Write a strategy": a strategy of at most thirty lines, from an empty folder to decoded text."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from pages import blocks
from runner import ROOT
from strangers import environment, walk

PAGE = ROOT / "docs" / "write-a-strategy.md"


def test_the_strategies_of_the_page_take_thirty_lines_at_most() -> None:
    strategies = [
        node
        for block in blocks(PAGE.read_text(encoding="utf-8"))
        if block.language == "python"
        for node in ast.walk(ast.parse(block.text))
        if isinstance(node, ast.ClassDef)
        and {"decode", "choose"} & {getattr(part, "name", "") for part in node.body}
    ]
    assert [node.name for node in strategies] == ["Lookahead", "SecondBest", "Echo", "BestDraw", "Layers"]
    assert max((node.end_lineno or 999) - node.lineno + 1 for node in strategies) <= 30


@pytest.mark.slow  # five processes; the page is run by test_code_blocks.py as well
def test_a_stranger_gets_from_an_empty_folder_to_decoded_text(tmp_path: Path) -> None:
    pytest.importorskip("hatchling", reason="builds the package without the network")
    said = walk(PAGE, environment(tmp_path / "environment"), tmp_path / "empty")
    assert "acme-lookahead/lookahead  (strategy)" in said["decodery plugins show lookahead"]
    assert said['decodery generate "Once upon a time" -m demo -r ahead.yaml --quiet'].strip()
    assert (
        "checks of 1 records ran: lookahead "
        in said["python -m pytest --decodery-conformance acme-lookahead"]
    )
