"""Steps that look at the tokens that occurred."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from decodery.contracts.lowering import Edit, LoweringFacts, Seen

from ..penalties.dry import Dry, breaker, longest_match, price
from ..penalties.dry_edits import Repeated

MOST_PRICES = 4096
"""Of a DRY so flat that it has more, the step keeps the count."""

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
    """One that backends may follow themselves, where nothing but ids says where a repetition ends; a window moves its
    beginning, and a breaker of several letters may lie across tokens: those are followed as the step does it."""
    if params.multiplier == 0:
        return ()
    texts = [one for one in params.breakers if isinstance(one, str)]
    if texts and facts.tokenizer is None:
        return None  # the step itself says what is missing
    step = Dry(**asdict(params), padding=facts.padding, tokenizer=facts.tokenizer)
    longest = longest_match(params.multiplier, params.base, params.allowed_length, params.max_match)
    plain = not params.window and all(len(text) == 1 for text in texts)
    if not plain or longest - params.allowed_length > MOST_PRICES:
        return Edit(_Repetitions(step), "add")
    ids, _ = breaker(params.breakers, facts.tokenizer)
    source = Repeated(
        params.multiplier, params.base, params.allowed_length, longest, frozenset(ids), facts.padding
    )
    return Edit(source, "add")


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
