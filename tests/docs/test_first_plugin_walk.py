"""The page "Your first plugin in ten minutes", walked as a stranger would."""

from __future__ import annotations

from pathlib import Path

import pytest
from runner import ROOT
from strangers import environment, walk


@pytest.mark.slow  # a dozen processes; every page is run by test_code_blocks.py as well
def test_a_stranger_gets_from_an_empty_folder_to_decoded_text(tmp_path: Path) -> None:
    pytest.importorskip("hatchling", reason="builds the package without the network")
    said = walk(
        ROOT / "docs" / "first-plugin.md",
        environment(tmp_path / "environment"),
        tmp_path / "empty",
        fails="above=1.5",
    )
    assert "passed" in said["python -m pytest acme"]
    assert "checks of 3 records ran: " in said["python -m pytest acme"]
    assert "checks of 1 records ran: surprise " in said["python -m pytest --decodery-conformance acme"]
    for recipe in ("acme", "surprise.yaml"):
        assert said[f'decodery generate "Once upon a time" -m demo -r {recipe}'].strip()
