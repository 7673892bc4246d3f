"""Interleaved medians: the machine may be noisy, so both sides are timed in turn and only their ratio is quoted."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from decodery.host.registry import Host
from decodery.kernels.table import VARIABLE, table


@dataclass(frozen=True)
class Comparison:
    """Seconds a step of each side; `least` is what `ratio` should reach (None: no target)."""

    title: str
    side: str
    ours: float
    peer_name: str
    peer: float
    least: float | None = None

    @property
    def ratio(self) -> float:
        """How many times the peer's speed ours is."""
        return self.peer / self.ours


def backends() -> list[str]:
    """The CPU's backends by name, torch first."""
    found = [e.name.rpartition("/")[2] for e in table(Host()) if e.backend and "cpu" in e.backend.devices]
    return sorted(found, key=lambda name: name != "torch")


@contextmanager
def using(backend: str) -> Iterator[None]:
    """What is bound inside gets this backend."""
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = backend
    try:
        yield
    finally:
        if before is None:
            del os.environ[VARIABLE]
        else:
            os.environ[VARIABLE] = before


def medians(sides: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Seconds: the median of `rounds` runs of each side, one after the other in every round."""
    times: dict[str, list[float]] = {name: [] for name in sides}
    for side in sides.values():
        side()
    for _ in range(rounds):
        for name, side in sides.items():
            start = time.perf_counter()
            side()
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def compare(
    title: str,
    side: str,
    ours: Callable[[], object],
    peer_name: str,
    peer: Callable[[], object],
    least: float | None,
    rounds: int,
    calls: int = 5,
) -> Comparison:
    """Ours `calls` times for each call of the peer: a short step's time is the median of more."""

    def several() -> None:
        for _ in range(calls):
            ours()

    times = medians({"ours": several, "peer": peer}, rounds)
    return Comparison(title, side, times["ours"] / calls, peer_name, times["peer"], least)
