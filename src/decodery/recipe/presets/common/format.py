"""What a file of this folder provides: a format's name, and how it is read and written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ....host.registry import Host
from ...report import Source
from .reading import Read
from .writing import Written

if TYPE_CHECKING:
    from ...recipe import Recipe


@dataclass(frozen=True, slots=True)
class Format:
    """`read(text, source, host)` raises `RecipeError` with every problem; `text` is UTF-8, of bounded size and
    without hidden characters. `write` is None where nobody needs the way out. `keywords` are what else people call it,
    for hints alone."""

    name: str
    summary: str
    read: Callable[[str, Source, Host], Read]
    write: Callable[[Recipe], Written] | None = None
    keywords: tuple[str, ...] = ()
