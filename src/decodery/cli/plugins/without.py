"""`decodery --no-plugin NAME ...`: any command without that plugin."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from ...host.registry import Host
from ...host.selection import VARIABLE, normalise, without
from ..usage import UsageMistake


@contextmanager
def plugins_left_out(names: Sequence[str]) -> Iterator[None]:
    """DECODERY_PLUGINS without these for the time of a command, so that every host in it agrees. Raises
    `UsageMistake` for a name that is not installed: a mistyped one would be left in in silence."""
    known = [info.id for info in Host().installed()]
    for name in names:
        if normalise(name) not in known:
            close = difflib.get_close_matches(normalise(name), known, n=1)
            said = f"did you mean {close[0]!r}?" if close else "'decodery plugins list' names them"
            raise UsageMistake(f"--no-plugin {name}: no such plugin is installed", remedy=said)
    before = os.environ.get(VARIABLE)
    selection = without(before, names)
    if selection is not None:
        os.environ[VARIABLE] = selection
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(VARIABLE, None)
        else:
            os.environ[VARIABLE] = before
