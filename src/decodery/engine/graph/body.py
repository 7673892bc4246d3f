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
from .ends import Ends
from .pieces import Pieces


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

    `everyone`: finished rows are written too; `pads`: with the pad id.

    newest   (R, 1) int64, what the model is fed
    written  (R,) bool, rows that got a token in the last step
    growing  (R,) bool, rows that are not finished
    halted   (1,) bool
    told     (3, R) int64 for the host: tokens, rows whose scores are bad, rows that `sampling` is unsure of
    logits, handed, inbox, scores
             (R, V), of the last step: the model's, as `first` leaves them, as `last` finds them, as they are drawn
             from. They stay where they are once captured
    """

    def __init__(
        self,
        session: StaticSession,
        history: History,
        steps: tuple[BoundStep, ...],
        pieces: Pieces,
        draw: str,
        rng: Any,
        ends: Ends | None,
        *,
        everyone: bool,
        pads: bool,
    ) -> None:
        self._session, self._history, self._rng = session, history, rng
        self._steps, self._pieces, self._draw, self._ends = steps, pieces, draw, ends
        self._everyone, self._pads = everyone, pads
        self._sampling: Sampling | None = None
        rows, device = len(history.host_lengths), history.tokens.device
        last = history.lengths.unsqueeze(1) - 1  # (R,) -> (R, 1)
        self.newest = history.tokens.gather(1, last)
        self.growing = torch.ones(rows, dtype=torch.bool, device=device)
        self.written = torch.zeros_like(self.growing)
        self.halted = torch.zeros(1, dtype=torch.bool, device=device)
        self.told = torch.zeros(3, rows, dtype=torch.int64, device=device)
        self.logits = self.handed = self.inbox = self.scores = torch.empty(0)

    def draw_with(self, sampling: Sampling, begin: int) -> None:
        """It does the processors from `begin` on and the draw."""
        self._sampling, self._pieces = sampling, replace(self._pieces, drawn=begin)

    def step(self) -> None:
        self.logits = self.inbox = self._session.tick(self.newest)
        self.last()

    def first(self) -> None:
        self.logits = self._session.tick(self.newest)
        self.handed = as_scores(self._through(0, self._pieces.held, self.logits))

    def last(self) -> None:
        self.scores = self._through(self._pieces.resumed, self._pieces.drawn, self.inbox)
        if self._sampling is None:
            tokens, bad = self._drawn(as_scores(self.scores))
            unsure = torch.zeros_like(bad)
        else:
            # A sampler reads half precision as it is.
            tokens, flags = self._sampling(self.scores.contiguous())
            bad, unsure = torch.zeros_like(self.growing), (flags != 0) & self.growing
        bad, tokens = bad & self.growing, self._padded(tokens)
        settled = ~(bad | unsure | self.halted)  # (R,) | (1,) -> (R,)
        told = torch.stack((tokens, bad, unsure))  # 3 x (R,) -> (3, R)
        written = settled if self._everyone else settled & self.growing
        self.told.copy_(torch.where(self.halted, self.told, told))
        self.written.copy_(torch.where(self.halted, self.written, written))
        self._take(tokens, written)
        self.halted.logical_or_(bad.any() | unsure.any() | ~self.growing.any())

    def decide(self) -> None:
        """The rows that `told[2]` names; `told` says what became of them."""
        scores = self._through(self._pieces.resumed, len(self._steps), self.inbox)
        tokens, bad = self._drawn(as_scores(scores))
        unsure = self.told[2] != 0
        bad = bad & unsure
        tokens = torch.where(unsure, self._padded(tokens), self.told[0])
        self._take(tokens, unsure & ~bad)
        self.told[0], self.told[1] = tokens, bad
        self.written.logical_or_(unsure & ~bad)

    def take_in(self, scores: Tensor) -> None:
        """(R, V) float32: what the host made of the scores."""
        if not self.inbox.numel():
            self.inbox = torch.empty_like(scores)
        self.inbox.copy_(scores)

    def replace(self, tokens: Tensor, rows: Tensor) -> None:
        """(R,) int64 in the rows (R,) bool: what the host decided, and wrote, is fed next."""
        self.newest.copy_(torch.where(rows, tokens, self.newest[:, 0]).unsqueeze(1))

    def feed_again(self) -> None:
        """`newest` is what the last step that did not stand still was fed."""
        last = (self._history.lengths - self.written.long() - 1).unsqueeze(1)  # (R,) -> (R, 1)
        self.newest.copy_(self._history.tokens.gather(1, last))

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

    def _padded(self, tokens: Tensor) -> Tensor:
        """(R,) int64 -> (R,) int64."""
        return torch.where(self.growing, tokens, self._history.pad) if self._pads else tokens

    def _take(self, tokens: Tensor, rows: Tensor) -> None:
        """(R,) int64 in the rows (R,) bool; those that end with it grow no more."""
        self.replace(tokens, rows)
        self._history.write_on_device(tokens, rows)
        if self._ends is not None:
            self.growing.logical_and_(~(rows & self._ends(tokens)))
