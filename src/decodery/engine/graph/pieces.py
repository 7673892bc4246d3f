"""Which of a run's processors graphs can hold, and why not the others."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ...contracts.errors import PluginError
from ..steps.apply import BoundStep, Ragged, Together, View


@dataclass(frozen=True, slots=True)
class Pieces:
    """Of a run's processors [0, held) come in a graph behind the forward, [resumed, drawn) in one before the draw, and
    [drawn, ...) in a sampler with it; the host calls [held, resumed). `reason` says why the first of those is not
    held, "" where there are none: then the graph is one."""

    held: int
    resumed: int
    drawn: int
    reason: str = ""


def pieces_of(steps: tuple[BoundStep, ...], view: View, scores: Tensor) -> Pieces:
    """Tried on scores (R, V) of the run: what waits for the device is found by torch itself. Applying changes no
    state, by contract."""
    reasons = []
    for step in steps:
        reason = _refusal(step)
        if not reason:
            try:
                with _waits_are_errors(scores.device):
                    scores = step(view, scores)
            except PluginError as error:
                reason = f"it waits for the device ({error.message.splitlines()[0]:.160})"
        reasons.append(reason)
    refused = [place for place, reason in enumerate(reasons) if reason]
    if not refused:
        return Pieces(0, 0, len(steps))
    first = refused[0]
    reason = f"{steps[first].name!r} cannot be held in a graph: {reasons[first]}"
    return Pieces(first, refused[-1] + 1, len(steps), reason)


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
