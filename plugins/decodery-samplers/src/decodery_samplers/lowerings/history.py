"""Steps that look at the tokens that occurred."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from decodery.contracts.lowering import Edit, LoweringFacts, Seen

from ..penalties.dry import Dry, price

Answer = Edit | tuple[()] | None


def presence_penalty(params: Any, facts: LoweringFacts) -> Answer:
    return _seen(params, facts, times=False)


def frequency_penalty(params: Any, facts: LoweringFacts) -> Answer:
    return _seen(params, facts, times=True)


def _seen(params: Any, facts: LoweringFacts, *, times: bool) -> Answer:
    """Behind a window that fades a token's number depends on where it stands, which is the step's own affair."""
    if params.penalty == 0:
        return ()
    if params.window is not None and params.decay_range:
        return None
    return Edit(Seen(-params.penalty, params.window, params.scope, times, padding=facts.padding), "add")


def dry(params: Any, facts: LoweringFacts) -> Answer:
    if params.multiplier == 0:
        return ()
    step = Dry(**asdict(params), padding=facts.padding, tokenizer=facts.tokenizer)
    return Edit(_Repetitions(step), "add")


class _Repetitions:
    """What DRY takes off, and where. See `decodery.contracts.lowering.EditSource`."""

    def __init__(self, step: Dry) -> None:
        self._step = step
        self.observe, self.select, self.rewind = step.observe, step.select, step.rewind

    def begin(self, ids: Tensor, lengths: Tensor) -> None:
        self._step.trail.restart()
        self._step.trail.catch_up(ids, lengths)

    def edits(self, ids: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        step, rows = self._step, self._step.followers(ids, lengths)
        width = max(map(len, rows), default=0)
        touched = torch.full((len(rows), width), -1, dtype=torch.int64)
        values = torch.zeros(touched.shape)
        for row, found in enumerate(rows):
            touched[row, : len(found)] = torch.tensor(list(found), dtype=torch.int64)
            prices = [-price(step.multiplier, step.base, k - step.allowed_length) for k in found.values()]
            values[row, : len(found)] = torch.tensor(prices)
        return touched.to(ids.device), values.to(ids.device)
