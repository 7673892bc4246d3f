"""The table of backends: who is asked first, and why not a faster one.

`DECODERY_KERNELS=reference` switches all off; `torch`, `native`, or a plugin's qualified name chooses one.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache

from ..contracts.errors import DecoderyError, UnknownName
from ..contracts.specs import Factory, KernelSpec, resolve
from ..host.registry import Host
from .backends import Backend, Chain
from .torch_backend import TorchBackend

VARIABLE = "DECODERY_KERNELS"
OURS = frozenset({"decodery-native", "decodery-triton"})
"""Plugins that are asked for kernels unasked; another's are used when the variable names them."""
TORCH = TorchBackend()


@dataclass(frozen=True, slots=True)
class Choice:
    """The backend, None for the reference alone, and in words why not a faster one."""

    backend: Backend | None
    reasons: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return "reference" if self.backend is None else self.backend.name


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the table: a backend by name, and why it cannot be used ("" if it can)."""

    name: str
    backend: Backend | None
    problem: str = ""


def wanted() -> str:
    """What the environment asks for: "" (the fastest), "reference", or a backend's name."""
    return os.environ.get(VARIABLE, "").strip()


def table(host: Host) -> list[Entry]:
    """Every backend, the fastest first; what is not installed is not in it. Imports no plugin without kernels."""
    plugin = wanted().rpartition("/")[0]
    offered = host.kernels(OURS | ({plugin} if plugin else frozenset()))
    offered.sort(key=lambda item: -item[1].priority)
    return [*(_entry(name, spec) for name, spec in offered), Entry("torch", TORCH)]


def choose(host: Host, device: str, chain: Chain | None) -> Choice:
    """The fastest backend for a chain on a type of device; `chain` None asks for the best token alone.

    Raises `UnknownName` when DECODERY_KERNELS names none.
    """
    name = wanted()
    if name == "reference":
        return Choice(None, (f"{VARIABLE}=reference",))
    entries = table(host)
    if name:
        entries = [entry for entry in entries if name in (entry.name, entry.name.rpartition("/")[2])]
        if not entries:
            raise UnknownName(
                f"{VARIABLE}={name!r}: no backend is called so",
                remedy="it is 'reference', 'torch', 'native' where decodery-native is installed, or 'plugin/name'",
            )
    reasons = []
    for entry in entries:
        backend = entry.backend
        if backend is None:
            reasons.append(f"{entry.name}: {entry.problem}")
        elif device not in backend.devices:
            reasons.append(f"{entry.name}: not for {device}")
        elif chain is not None and (refusal := backend.refuses(chain)):
            reasons.append(f"{entry.name}: {refusal}")
        else:
            return Choice(backend, tuple(reasons))
    return Choice(None, tuple(reasons))


def _entry(name: str, spec: KernelSpec) -> Entry:
    backend, problem = _load(name, spec.factory, spec.available)
    return Entry(name, backend, problem)


@cache
def _load(name: str, factory: Factory, available: Factory) -> tuple[Backend | None, str]:
    """Once a process. What is broken is as good as absent, and says why."""
    try:
        problem = resolve(available, f"kernels {name!r}")()
        if problem:
            return None, str(problem)
        return resolve(factory, f"kernels {name!r}")(), ""
    except DecoderyError as error:
        return None, error.message
    except Exception as error:
        return None, f"{type(error).__name__}: {error}"
