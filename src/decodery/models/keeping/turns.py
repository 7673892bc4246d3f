"""Whose turn it is on a module: one cache serves one session at a time, whichever thread opened it."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from ...contracts.errors import ModelError

PATIENCE = 10.0
"""Seconds without a call after which another thread's session is not waited for any longer."""
LOOK = 0.1
"""Seconds between two looks at a thread that may have ended without a word."""


@dataclass(eq=False, slots=True)
class Turn:
    """One session's. It belongs to the thread that used it last.

    close  how the session is ended; gives None once the session is gone
    calls  of the model that are going on
    used   when the last one ended
    spare  nobody is in the middle of it: any thread may end it
    """

    close: weakref.WeakMethod[Callable[[], None]]
    thread: threading.Thread = field(default_factory=threading.current_thread)
    calls: int = 0
    used: float = field(default_factory=time.monotonic)
    spare: bool = False


class Turns:
    """The turns on one module. A thread that finds another's session live waits for its end.

    Its own earlier session gives way to the newer one: an abandoned stream must not lock its own thread out.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition(threading.RLock())
        self._turn: Turn | None = None
        self._keeper: threading.Thread | None = None
        self._depth = 0

    def take(self, close: Callable[[], None], name: str) -> Turn:
        """The turn of a new session, which `close()` ends.

        Raises `ModelError` when the session of another thread is live and makes no calls, since whoever holds
        it may be waiting for this thread.
        """
        with self._changed:
            self._settle(name)
            self._turn = Turn(weakref.WeakMethod(close))
            return self._turn

    def still(self) -> threading.Condition:
        """A re-entrant lock, to be held by whoever ends a session: no turn begins or ends meanwhile."""
        return self._changed

    def spare(self, turn: Turn) -> None:
        """Whoever wants the next turn need not wait for the end of this one, until it is used again."""
        with self._changed:
            turn.spare = True
            self._changed.notify_all()

    def leave(self, turn: Turn) -> None:
        """The next one's turn."""
        with self._changed:
            if self._turn is turn:
                self._turn = None
                self._changed.notify_all()

    @contextmanager
    def using(self, turn: Turn) -> Iterator[None]:
        """Around every call of the model that a session makes."""
        with self._changed:
            turn.thread, turn.spare = threading.current_thread(), False
            turn.calls += 1
        try:
            yield
        finally:
            with self._changed:
                turn.calls -= 1
                turn.used = time.monotonic()

    @contextmanager
    def kept(self, name: str) -> Iterator[None]:
        """No other thread opens a session inside; this one may. A live session ends first, as in `take`."""
        with self._changed:
            self._settle(name)
            self._keeper = threading.current_thread()
            self._depth += 1
        try:
            yield
        finally:
            with self._changed:
                self._depth -= 1
                if not self._depth:
                    self._keeper = None
                    self._changed.notify_all()

    def _settle(self, name: str) -> None:
        """Returns with no live session and nobody else trying the module out."""
        me = threading.current_thread()
        while self._keeper not in (None, me) or not self._free_for(me):
            turn = self._turn
            quiet = time.monotonic() - turn.used if turn is not None and not turn.calls else 0.0
            if self._keeper is None and turn is not None and quiet >= PATIENCE:
                raise ModelError(
                    f"{name} serves one session at a time, and thread {turn.thread.name!r} has one open that "
                    f"made no call for {quiet:.0f} s",
                    remedy="finish or close that stream first, or give each thread a model of its own: "
                    "copy.deepcopy(model)",
                )
            self._changed.wait(min(LOOK, PATIENCE))
        if self._turn is not None:
            close = self._turn.close()
            if close is not None:
                close()
            self._turn = None

    def _free_for(self, me: threading.Thread) -> bool:
        turn = self._turn
        if turn is None or turn.thread is me:
            return True
        return not turn.calls and (turn.spare or not turn.thread.is_alive())


# Outside the modules, which can then be copied and saved while a session is live; weak, so that a module's
# end is the end of its entry.
_TURNS: weakref.WeakKeyDictionary[Any, Turns] = weakref.WeakKeyDictionary()
_GUARD = threading.Lock()


def turns_on(module: nn.Module | None) -> Turns:
    """The turns of `module`, the same for everybody; fresh ones where there is no module."""
    if module is None:
        return Turns()
    with _GUARD:
        return _TURNS.setdefault(module, Turns())
