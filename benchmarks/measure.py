"""Interleaved medians: the machine may be noisy, so both sides are timed in turn and only their ratio is quoted."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable


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


def report(title: str, times: dict[str, float], peer: str, unit: float = 1e6) -> None:
    """One line: each side in microseconds, and how many times the peer's speed ours is."""
    ours = next(name for name in times if name != peer)
    figures = ", ".join(f"{name} {value * unit:,.0f}" for name, value in times.items())
    print(f"{title}: {figures} us -> {times[peer] / times[ours]:.2f} x")
