"""The comparisons as lines and as a table with date, machine and command."""

from __future__ import annotations

import datetime
import os
import platform
import re
from collections.abc import Sequence
from pathlib import Path

import torch
import transformers

from .measure import Comparison

BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"


def line(found: Comparison) -> str:
    """One comparison, microseconds a step."""
    wanted = "" if found.least is None else f" (at least {found.least:g})"
    return (
        f"{found.title}: {found.side} {found.ours * 1e6:,.0f}, {found.peer_name} {found.peer * 1e6:,.0f} us "
        f"-> {found.ratio:.2f} x{wanted}"
    )


def write(path: Path, found: Sequence[Comparison]) -> None:
    """Replace the table of the page."""
    rows = [
        "| work | side | us | peer | us | ratio | at least |",
        "|---|---|--:|---|--:|--:|--:|",
        *(
            f"| {f.title} | {f.side} | {f.ours * 1e6:,.0f} | {f.peer_name} | {f.peer * 1e6:,.0f} | {f.ratio:.2f} "
            f"| {'' if f.least is None else format(f.least, 'g')} |"
            for f in found
        ),
    ]
    load = f"a load of {os.getloadavg()[1]:.1f} on {os.cpu_count()} cores, this one's included"
    command = "`python -m benchmarks --table benchmarks/README.md`"
    head = f"{datetime.date.today().isoformat()}; {machine()}; {load}; {command}"
    text = path.read_text()
    table = "\n".join([BEGIN, "", head, "", *rows, "", END])
    path.write_text(re.sub(f"{BEGIN}.*{END}", lambda _: table, text, flags=re.DOTALL))


def machine() -> str:
    """Processor and versions."""
    name = platform.processor() or platform.machine()
    cpu = Path("/proc/cpuinfo")
    if cpu.exists():
        found = re.search(r"model name\s*:\s*(.*)", cpu.read_text())
        name = found.group(1) if found else name
    return (
        f"{name}, one thread, {torch.backends.cpu.get_cpu_capability()}; Python {platform.python_version()}, "
        f"torch {torch.__version__}, transformers {transformers.__version__}"
    )
