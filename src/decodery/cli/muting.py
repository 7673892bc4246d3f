"""The host's log line about a broken plugin, silenced where it is not wanted."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def plugins_muted(muted: bool = True) -> Iterator[None]:
    """No such line: under -q, and where the command itself tells it. The logger's level is its own again after."""
    log = logging.getLogger("decodery")
    level = log.level
    if muted:
        log.setLevel(max(level, logging.ERROR))
    try:
        yield
    finally:
        log.setLevel(level)
