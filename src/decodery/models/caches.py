"""A model's own KV cache, driven by the methods it has: found by name, their arguments by their words."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from ..contracts.errors import ModelError

SETUP = (
    "setup_caches", "setup_cache", "setup_kv_caches", "setup_kv_cache", "set_kv_cache", "set_kv_caches",
    "init_caches", "init_cache", "init_kv_caches", "init_kv_cache", "allocate_caches", "allocate_cache",
    "allocate_kv_cache",
)  # fmt: skip
RESET = (
    "reset_caches", "reset_cache", "reset_kv_caches", "reset_kv_cache", "clear_kv_caches", "clear_kv_cache",
    "clear_caches", "clear_cache",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Size:
    """What a cache has to hold, and where."""

    batch: int
    length: int
    device: torch.device
    dtype: torch.dtype


class CacheControl:
    """Sets a module's cache up and clears it; does nothing where the module has no such methods.

    `extra` are values for arguments of the set-up method whose words say nothing to us.
    """

    def __init__(self, module: nn.Module | None, extra: Mapping[str, Any] | None = None) -> None:
        self._module = module
        self._setup = _method(module, SETUP)
        self._reset = _method(module, RESET)
        self._extra = dict(extra or {})

    @property
    def sized(self) -> bool:
        """The cache has a size, set beforehand."""
        return self._setup is not None

    @property
    def found(self) -> bool:
        """There is a method that sets a cache up, or one that clears it."""
        return self._setup is not None or self._reset is not None

    def evidence(self) -> str:
        """What was found, in words."""
        found = []
        if self._setup is not None:
            names = ", ".join(inspect.signature(self._setup).parameters)
            found.append(f"{self._setup.__name__}({names}) sets its cache up")
        if self._reset is not None:
            found.append(f"{self._reset.__name__}() clears it")
        return "; ".join(found) or "no method sets a cache up or clears it"

    def prepare(self, size: Size) -> None:
        """An empty cache of at least `size`. Raises `ModelError` when the set-up method cannot be called."""
        self.reset()
        if self._setup is None:
            return
        arguments = self._arguments(self._setup, size)
        self._call_setup(arguments, size)
        stale = [name for name in arguments if self._kept_older(name, arguments[name])]
        if stale:
            for name in stale:
                setattr(self._module, name, -1)
            self._call_setup(arguments, size)

    def reset(self) -> None:
        """Empty the cache if there is one."""
        if self._reset is None:
            return
        try:
            self._reset()
        except Exception:
            # Several projects raise when there is nothing to clear yet; one that is really broken shows when
            # its steps are verified.
            return

    def _call_setup(self, arguments: Mapping[str, Any], size: Size) -> None:
        method = self._setup
        if method is None:
            return
        try:
            # Tables and buffers that name no device would be made on the CPU.
            with torch.device(size.device):
                method(**arguments)
        except torch.cuda.OutOfMemoryError:
            raise
        except Exception as error:
            shown = ", ".join(f"{name}={value}" for name, value in arguments.items())
            raise ModelError(
                f"{type(self._module).__name__}.{method.__name__}({shown}) failed: "
                f"{type(error).__name__}: {error}",
                remedy="adapter={'name': 'input_pos', 'setup': {...}} adds arguments; "
                "adapter='stateless' needs none",
            ) from error

    def _kept_older(self, argument: str, wanted: object) -> bool:
        # gpt-fast's manner: a larger older cache is kept, noted under the argument's name, and then refuses
        # a smaller batch.
        noted = getattr(self._module, argument, None)
        if not _is_number(noted) or not _is_number(wanted):
            return False
        return noted != wanted if argument_means(argument) == "batch" else noted < wanted  # type: ignore[operator]

    def _arguments(self, method: Callable[..., Any], size: Size) -> dict[str, Any]:
        given: dict[str, Any] = {}
        unknown = []
        for name, parameter in inspect.signature(method).parameters.items():
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                continue
            meaning = argument_means(name)
            if name in self._extra:
                given[name] = self._extra[name]
            elif meaning:
                given[name] = getattr(size, meaning)
            elif parameter.default is parameter.empty:
                unknown.append(name)
        if unknown:
            raise ModelError(
                f"{type(self._module).__name__}.{method.__name__} wants {', '.join(unknown)}: unknown here",
                remedy=f"say it: adapter={{'name': 'input_pos', 'setup': {{{unknown[0]!r}: ...}}}}",
            )
        return given


def _method(module: nn.Module | None, names: tuple[str, ...]) -> Callable[..., Any] | None:
    found = (getattr(module, name, None) for name in names)
    return next((method for method in found if callable(method)), None)


def argument_means(argument: str) -> str:
    """Which of `Size`'s fields an argument's name speaks of, "" if none."""
    words = argument.lower().split("_")
    if {"encoder", "rope", "chunk", "window"} & set(words):
        return ""
    if {"batch", "bsz", "bs", "batchsize", "b"} & set(words):
        return "batch"
    if {"seq", "seqlen", "length", "len", "context", "ctx", "tokens", "positions", "t"} & set(words):
        return "length"
    return words[-1] if words[-1] in ("device", "dtype") else ""


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
