"""Leaving a module as it was found: train/eval flags, caches, attributes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn


class EvalMode:
    """Holds a module in eval mode while any session needs it; then every submodule gets its own flag back."""

    def __init__(self, module: nn.Module | None) -> None:
        self._module = module
        self._holders = 0
        self._found: list[tuple[nn.Module, bool]] = []
        self._lock = threading.Lock()

    def hold(self) -> None:
        with self._lock:
            self._holders += 1
            if self._holders == 1 and self._module is not None:
                self._found = [(module, module.training) for module in self._module.modules()]
                if any(training for _, training in self._found):
                    self._module.eval()

    def renew(self) -> None:
        """Submodules that were added since, a cache's for example, follow the others."""
        if self._module is not None and any(module.training for module in self._module.modules()):
            self._module.eval()

    def release(self) -> None:
        with self._lock:
            self._holders -= 1
            if (
                self._holders == 0
                and self._module is not None
                and any(training for _, training in self._found)
            ):
                # train() first, for modules that do more there than set a flag.
                self._module.train(self._found[0][1])
                for module, training in self._found:
                    module.training = training
                self._found = []


class Snapshot:
    """A shallow copy of a module tree's attributes, to undo what set-up and forward calls put there.

    Objects that were replaced, added or removed are undone, in lists and dicts too. What was written into a
    tensor in place stays: caches are cleared by their own reset method.
    """

    def __init__(self, module: nn.Module | None) -> None:
        self._found: list[tuple[dict[str, Any], dict[str, Any]]] = []
        self._lists: list[tuple[list[Any], list[Any]]] = []
        for part in module.modules() if module is not None else ():
            self._keep(part.__dict__)
            for value in list(part.__dict__.values()):
                if isinstance(value, dict):
                    self._keep(value)
                elif isinstance(value, list):
                    self._lists.append((value, list(value)))

    def restore(self) -> None:
        for store, found in self._found:
            # The train/eval flag is EvalMode's business.
            now = {**found, "training": store["training"]} if "training" in store else found
            if list(store) != list(now) or any(store[key] is not value for key, value in now.items()):
                # Emptied and filled again, since the order of `_modules` has a meaning.
                store.clear()
                store.update(now)
        for items, kept in self._lists:
            if len(items) != len(kept) or any(a is not b for a, b in zip(items, kept, strict=True)):
                items[:] = kept

    def _keep(self, store: dict[str, Any]) -> None:
        self._found.append((store, dict(store)))


@contextmanager
def left_as_found(module: nn.Module | None) -> Iterator[None]:
    """Whatever happens inside, the module's attributes and torch's random numbers are as before."""
    found = Snapshot(module)
    # Dropout that was left on would otherwise move the caller's generator.
    devices = [torch.cuda.current_device()] if torch.cuda.is_initialized() else []  # type: ignore[no-untyped-call]
    try:
        with torch.random.fork_rng(devices=devices):
            yield
    finally:
        found.restore()
