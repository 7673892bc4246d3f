"""What a sampler does of a step: a run's last processors together with the draw, and what becomes of the tokens."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ...contracts.lowering import Edit, Map, Seen, Truncation
from ...host.registry import Host
from ...kernels.backends import Chain, Sampler
from ...kernels.table import choose
from ..plan.tail import find_tail
from ..steps.apply import BoundStep
from .standing import Settle, settle

PLACE = "cuda graph"
"""What backends with kernels for graphs name among their devices."""


@dataclass(frozen=True, slots=True)
class Fusable:
    """The last processors, from `begin` on, that a sampler of `backend` does together with the draw."""

    begin: int
    chain: Chain
    penalty: float
    backend: Sampler


def fusable(steps: tuple[BoundStep, ...], host: Host) -> Fusable | None:
    """The longest tail that is a repetition penalty, if anything, then maps and truncations that a backend takes."""
    for begin in range(len(steps)):
        tail = find_tail(steps[begin:])
        penalty = _penalty(tail.head)
        if tail.begin or penalty is None or not any(isinstance(part, Truncation) for part in tail.chain):
            continue
        choice = choose(host, PLACE, tail.chain)
        if isinstance(choice.backend, Sampler):
            return Fusable(begin, tail.chain, penalty, choice.backend)
    return None


def settling(host: Host, device: torch.device) -> Settle:
    """`standing.settle`, or a backend's that does the same in one launch."""
    backend = choose(host, PLACE, None).backend if device.type == "cuda" else None
    return getattr(backend, "settle", settle)


def _penalty(head: tuple[Edit | Map, ...]) -> float | None:
    """1 for no edits at all; None for others than one penalty over the whole text."""
    if not head:
        return 1.0
    if len(head) > 1 or not isinstance(head[0], Edit):
        return None
    source, mode = head[0].source, head[0].mode
    plain = isinstance(source, Seen) and (source.window, source.scope, source.times) == (None, "all", False)
    if mode != "scale_by_sign" or not plain or not isinstance(source, Seen) or source.padding is not None:
        return None
    return source.value
