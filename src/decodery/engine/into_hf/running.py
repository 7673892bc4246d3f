"""Bound steps that follow the ids of a run inside `generate`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import torch
from torch import Tensor

from ...contracts.errors import CannotFollow
from ..own_loop.unbound import whole_view
from ..steps.apply import BoundStep, View
from .facts import Begun
from .following import Change
from .layout import row_view


class Running:
    """The steps of one run, and the ids (R, T) that they have seen."""

    def __init__(self, steps: Sequence[BoundStep], begun: Begun, rectangle: bool, ids: Tensor) -> None:
        self.steps, self.begun, self._rectangle = tuple(steps), begun, rectangle
        self.seen, self._pads = ids[:, : begun.prompt], list(begun.pads)
        self._grow(ids)

    def follow(self, ids: Tensor, change: Change) -> None:
        """(R, T) int64. Raises `CannotFollow` naming a step that keeps state and cannot be reordered or taken back."""
        if change.parents is not None and list(change.parents) != list(range(len(ids))):
            self._check("reordered")
            self._select(change.parents)
        if lost := self.seen.shape[1] - change.kept:
            self._check("taken back")
            counts = torch.full_like(self.begun.steps, lost)
            for step in self.steps:
                step.rewind(counts)
            self.begun.steps.sub_(lost)
            self.seen = self.seen[:, : change.kept]
        self._grow(ids)

    def view(self) -> View:
        """What steps are shown now."""
        if self._rectangle:
            return whole_view(self.seen, self.begun.prompt)
        return row_view(self.seen, self._pads, self.begun.prompt)

    # -- inside -----------------------------------------------------------------------------------------------

    def _grow(self, ids: Tensor) -> None:
        everyone = torch.ones(len(ids), dtype=torch.bool, device=ids.device)
        for column in range(self.seen.shape[1], ids.shape[1]):
            for step in self.steps:
                step.observe(ids[:, column], everyone)
        self.begun.steps.add_(ids.shape[1] - self.seen.shape[1])
        self.seen = ids.clone()  # the caller may go on writing into it

    def _select(self, parents: Sequence[int]) -> None:
        rows = torch.tensor(list(parents), device=self.begun.steps.device)
        met: Counter[int] = Counter()
        copies = []
        for parent in parents:
            copies.append(met[parent])
            met[parent] += 1
        self.begun.rng.select(rows, torch.tensor(copies, device=rows.device), self.begun.steps)
        for step in self.steps:
            step.select(rows, list(parents))
        self._pads = [self._pads[parent] for parent in parents]

    def _check(self, what: str) -> None:
        for step in self.steps:
            if not step.follows:
                raise CannotFollow(
                    f"{step.name!r} {step.stays}, so rows cannot be {what}",
                    remedy=f"generate without beams and assistants, give the step {step.lacks}, or add it with "
                    "stateless=True if it keeps nothing",
                )
