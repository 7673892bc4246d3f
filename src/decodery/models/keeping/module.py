"""Leaving a module as it was found: train/eval flags, caches, attributes."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from .journal import Journal, State
from .turns import turns_on


class EvalMode:
    """Holds a module in eval mode while any session needs it; then every submodule gets its own flag back.

    All that name the same module count together. A flag that was set by somebody else meanwhile stays.
    """

    def __init__(self, module: nn.Module | None) -> None:
        self._module = module
        self._shared = _held(module)

    def hold(self) -> None:
        shared = self._shared
        with shared.lock:
            shared.holders += 1
            if self._module is None:
                return
            now = [(part, part.training) for part in self._module.modules()]
            for part, training in now:
                if training or part not in shared.found:
                    shared.found[part] = training
            if any(training for _, training in now):
                self._module.eval()

    def renew(self) -> None:
        """Submodules that were added since, a cache's for example, follow the others."""
        with self._shared.lock:
            for part in list(self._module.modules()) if self._module is not None else ():
                if part.training and part not in self._shared.found:
                    part.eval()

    def release(self) -> None:
        shared = self._shared
        with shared.lock:
            shared.holders -= 1
            if shared.holders or self._module is None:
                return
            found, shared.found = shared.found, weakref.WeakKeyDictionary()
            if not any(found.values()):
                return
            now = [(part, part.training) for part in self._module.modules()]
            if not any(part.training for part in list(found)):
                # train() first, for modules that do more there than set a flag.
                self._module.train(found.get(self._module, False))
            for part, training in now:
                part.training = training if training else found.get(part, training)


class _Held:
    """How many sessions need eval mode, and the flags that they found: {module: training}."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.holders = 0
        self.found: weakref.WeakKeyDictionary[Any, bool] = weakref.WeakKeyDictionary()


# Outside the modules, like their turns; several decoders of one module must not undo each other's mode.
_HELD: weakref.WeakKeyDictionary[Any, _Held] = weakref.WeakKeyDictionary()
_GUARD = threading.Lock()


def _held(module: nn.Module | None) -> _Held:
    if module is None:
        return _Held()
    with _GUARD:
        return _HELD.setdefault(module, _Held())


class Snapshot:
    """A shallow copy of a module tree's attributes, to undo whatever happened to them since.

    Objects that were replaced, added or removed are undone, in lists and dicts too. What was written into a
    tensor in place stays: caches are cleared by their own reset method.
    """

    def __init__(self, module: nn.Module | None) -> None:
        self._found = State(module)

    def restore(self) -> None:
        journal = Journal(None)
        journal.note(self._found)
        journal.undo()


@contextmanager
def left_as_found(module: nn.Module | None) -> Iterator[None]:
    """Whatever happens inside, the module's attributes and torch's random numbers are as before.

    Other threads open no session on the module meanwhile, and one that is live there is waited for.
    """
    with turns_on(module).kept(type(module).__name__):
        found = Snapshot(module)
        # Dropout that was left on would otherwise move the caller's generator.
        devices = [torch.cuda.current_device()] if torch.cuda.is_initialized() else []  # type: ignore[no-untyped-call]
        try:
            with torch.random.fork_rng(devices=devices):
                yield
        finally:
            found.restore()
