"""Every code block of the README and of docs/ does what the page says it does."""

from __future__ import annotations

from pathlib import Path

import pytest
from runner import PAGES, ROOT, run_page


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_does_what_it_shows(page: Path, tmp_path: Path) -> None:
    problems = [ran.problem for ran in run_page(page, tmp_path) if ran.problem]
    assert not problems, "\n\n".join(problems)
