"""What became of each key on its way into a recipe or out of one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ...report import shown

Status = Literal["exact", "approximated", "dropped"]
_NARROW, _WIDE = 40, 200


@dataclass(frozen=True, slots=True)
class Carried:
    """One line of a report.

    `key` and `value` are the source's; "" is the value of what the source did not say. `into` is what stands for
    it on the other side, `note` how it differs (approximated), why it is missing (dropped), or what else there is
    to know.
    """

    key: str
    value: str
    status: Status
    into: str = ""
    note: str = ""


def spelled(value: object) -> str:
    """A value as a report shows it: JSON, or its repr where JSON has no word for it."""
    if isinstance(value, str):
        return value
    try:
        return json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):
        return repr(value)


def lines(report: Sequence[Carried]) -> list[str]:
    """The report as aligned lines: what the source says, how it fares, what stands for it."""
    heads = [shown(f"{found.key} = {found.value}" if found.value else found.key, _NARROW) for found in report]
    width = max(map(len, heads), default=0)
    written = []
    for head, found in zip(heads, report, strict=True):
        rest = [shown(part, _WIDE) for part in (found.into, found.note) if part]
        written.append(f"{head:<{width}}  {found.status:<12}  {' - '.join(rest)}".rstrip())
    return written
