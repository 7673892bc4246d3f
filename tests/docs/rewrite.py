"""Write into pages what their blocks print now: `python tests/docs/rewrite.py [PAGE ...]`, default all.

Lines with `...` that still agree stay as they are. Read what changed before you commit it.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from pages import agrees
from runner import PAGES, Ran, run_page


def rewritten(page: str, results: list[Ran]) -> str:
    """The page with each output that a block no longer gives replaced."""
    lines = page.split("\n")
    for ran in sorted(results, key=lambda ran: -ran.first):
        if ran.shown is None or not ran.first or agrees(ran.shown, ran.printed):
            continue
        dotted = [line for line in ran.shown.split("\n") if "..." in line.strip(".")]
        printed = [line.rstrip() for line in ran.printed.rstrip("\n").split("\n")]
        new = [next((shown for shown in dotted if agrees(shown, line)), line) for line in printed]
        blank = lines[ran.last - 1 : ran.last] == [""] and ran.last >= ran.first
        lines[ran.first - 1 : ran.last] = [*new, ""] if blank and ran.shown.strip() else new
    return "\n".join(lines)


def main(names: list[str]) -> None:
    for path in [Path(name).resolve() for name in names] or PAGES:
        with tempfile.TemporaryDirectory() as place:
            results = list(run_page(path, Path(place)))
        before = path.read_text(encoding="utf-8")
        after = rewritten(before, results)
        if after != before:
            path.write_text(after, encoding="utf-8")
            print(f"rewrote {path}")


if __name__ == "__main__":
    main(sys.argv[1:])
