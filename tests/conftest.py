"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from typing import Any

import pytest
import torch

os.environ.setdefault("HF_HUB_OFFLINE", "1")


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """The table of models that nobody here wrote, where they were tried."""
    reports = [r for r in terminalreporter.getreports("passed") if r.when == "call"]
    rows = [value for report in reports for name, value in report.user_properties if name == "zoo"]
    if rows:
        terminalreporter.section("models that nobody here wrote: tokens/s of one row, on random weights")
        terminalreporter.write_line(
            f"{'package':24}{'adapter':12}{'user code beside Decoder(model)':52}{'cache':>9}{'none':>9}"
        )
        for row in rows:
            terminalreporter.write_line(row)
