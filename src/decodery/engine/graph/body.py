"""One step as functions of device memory: nothing in them asks the host, so that CUDA graphs can replay them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ...contracts.protocols import StaticSession
from ...kernels.backends import Sampling, argmax
from ...kernels.draw import bad_rows
from ..buffers.history import History
from ..plan.plan import as_scores
from ..steps.apply import BoundStep, View
from .pieces import Pieces
from .standing import Settle, Standing


def whole_buffer(history: History) -> View:
    """What held steps are shown: they are told the lengths, and take ids wider than the longest row."""
    return View(history.tokens, history.lengths, history.prompt_lengths, (), ())


class Body:
    """`step` is the forward, the processors, the draw as `draw` says ("argmax", "categorical") and the history. Where
    the host must be asked in between, the step is in two: `first` as far as `pieces.held`, and `last` from
    `pieces.resumed` on, with what the host made of the scores in `inbox`. `sampling`, if there is one, does the
    processors from `pieces.drawn` on with the draw.

    A row whose scores are bad, or of which `sampling` is unsure, gets no token, and all further steps stand still: they
    leave history, random numbers and flags as they are until `halted` is taken from them. So do steps behind the last
    row's end, which is known here where `ends` is. A host may therefore launch a step before it has read the one
    before.
    `decide`: what `sampling` was unsure of, once more by all processors. Rows do not look at each other, so that it
    does not matter that the others have got their token.

    `settle` is `standing.settle` or a backend's.

    logits, handed, inbox, scores
             (R, V), of the last step: the model's, as `first` leaves them, as `last` finds them, as they are drawn
             from. They stay where they are once captured
    """

    def __init__(
        self,
        session: StaticSession,
        steps: tuple[BoundStep, ...],
        pieces: Pieces,
        draw: str,
        rng: Any,
        standing: Standing,
        settle: Settle,
    ) -> None:
        self._session, self._history, self._rng = session, standing.history, rng
        self._steps, self._pieces, self._draw, self._settle = steps, pieces, draw, settle
        self._sampling: Sampling | None = None
        self.standing = standing
        self.logits = self.handed = self.inbox = self.scores = torch.empty(0)

    def draw_with(self, sampling: Sampling, begin: int) -> None:
        """It does the processors from `begin` on and the draw."""
        self._sampling, self._pieces = sampling, replace(self._pieces, drawn=begin)

    def step(self) -> None:
        self.logits = self.inbox = self._session.tick(self.standing.newest)
        self.last()

    def first(self) -> None:
        self.logits = self._session.tick(self.standing.newest)
        self.handed = as_scores(self._through(0, self._pieces.held, self.logits))

    def last(self) -> None:
        self.scores = self._through(self._pieces.resumed, self._pieces.drawn, self.inbox)
        if self._sampling is None:
            tokens, bad = self._drawn(as_scores(self.scores))
            self._settle(self.standing, tokens, bad, None)
        else:
            # A sampler reads half precision as it is.
            tokens, flags = self._sampling(self.scores.contiguous())
            self._settle(self.standing, tokens, None, flags)

    def decide(self) -> None:
        """The rows that `told[2]` names; `told` says what became of them."""
        scores = self._through(self._pieces.resumed, len(self._steps), self.inbox)
        tokens, bad = self._drawn(as_scores(scores))
        standing, told = self.standing, self.standing.told
        unsure = told[2] != 0
        bad = bad & unsure
        tokens = torch.where(unsure, standing.padded(tokens), told[0])
        standing.take(tokens, unsure & ~bad)
        told[0], told[1] = tokens, bad
        standing.written.logical_or_(unsure & ~bad)

    def take_in(self, scores: Tensor) -> None:
        """(R, V) float32: what the host made of the scores."""
        if not self.inbox.numel():
            self.inbox = torch.empty_like(scores)
        self.inbox.copy_(scores)

    def feed_again(self) -> None:
        """`newest` is what the last step that did not stand still was fed."""
        last = (self._history.lengths - self.standing.written.long() - 1).unsqueeze(1)  # (R,) -> (R, 1)
        self.standing.newest.copy_(self._history.tokens.gather(1, last))

    def _through(self, begin: int, end: int, scores: Tensor) -> Tensor:
        """(R, V) -> (R, V) by the processors [begin, end)."""
        view = whole_buffer(self._history)
        for step in self._steps[begin:end]:
            scores = step(view, as_scores(scores))
        return scores

    def _drawn(self, scores: Tensor) -> tuple[Tensor, Tensor]:
        """(R, V) -> tokens (R,) int64, bad (R,) bool."""
        bad = bad_rows(scores)
        # torch's own draw would fail on the whole device over one NaN.
        safe = scores.masked_fill(bad.unsqueeze(1), 0.0)
        return (argmax(safe) if self._draw == "argmax" else self._rng.categorical(safe)), bad
