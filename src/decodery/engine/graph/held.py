"""Which of a run's processors a graph can hold, and why not the next one."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ...contracts.errors import PluginError
from ...contracts.lowering import Edit, Map, Seen, Truncation
from ...host.registry import Host
from ...kernels.backends import Chain, Sampler
from ...kernels.table import choose
from ..plan.tail import find_tail
from ..steps.apply import BoundStep, Ragged, Together, View

PLACE = "cuda graph"
"""What backends with kernels for graphs name among their devices."""


@dataclass(frozen=True, slots=True)
class Held:
    """The first `count` processors are held; `reason` says why not the next, "" where all are."""

    count: int
    reason: str


def held(steps: tuple[BoundStep, ...], view: View, scores: Tensor) -> Held:
    """Tried on scores (R, V) of the run: what waits for the device is found by torch itself. Applying changes no
    state, by contract."""
    for place, step in enumerate(steps):
        reason = _refusal(step)
        if not reason:
            try:
                with _waits_are_errors(scores.device):
                    scores = step(view, scores)
            except PluginError as error:
                reason = f"it waits for the device ({error.message.splitlines()[0]:.160})"
        if reason:
            return Held(place, f"{step.name!r} cannot be held in a graph: {reason}")
    return Held(len(steps), "")


def _refusal(step: BoundStep) -> str:
    if not step.stateless:
        return "it keeps state"
    if not isinstance(step, Together | Ragged):
        return "its rows are called in groups, by the host"
    if isinstance(step, Together) and "reads_history" in step.traits:
        return "it reads the text and does not claim the trait 'ragged'"
    if "compilable" not in step.traits:
        return "it does not claim the trait 'compilable'"
    return ""


class _waits_are_errors:  # reads as what it does
    """torch raises where something would wait for a CUDA device."""

    def __init__(self, device: torch.device) -> None:
        self._on = device.type == "cuda"

    def __enter__(self) -> None:
        if self._on:
            self._before = torch.cuda.get_sync_debug_mode()
            torch.cuda.set_sync_debug_mode("error")

    def __exit__(self, *_: object) -> None:
        if self._on:
            torch.cuda.set_sync_debug_mode(self._before)


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
