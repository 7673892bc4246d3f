"""One step as functions of device memory: nothing in them asks the host, so that CUDA graphs can replay them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ...contracts.protocols import StaticSession
from ...kernels.backends import Sampling
from ...kernels.draw import bad_rows
from ..buffers.history import History
from ..plan.plan import as_scores
from ..steps.apply import BoundStep, View


class Body:
    """`step`: the forward, the processors, and where `draw` says how ("argmax", "categorical") the draw and the
    history; with "" whoever calls goes on from `scores`. `decide`: what `sampling` was unsure of, once more by all
    steps; rows do not look at each other, so that it does not matter that the others have got their token.

    `steps` are all processors, of which the first `held` are called here; `sampling`, if there is one, does the rest
    with the draw. `everyone`: finished rows are written too; `pads`: with the pad id.

    newest   (R, 1) int64, what the model is fed
    written  (R,) bool, rows that got a token in the last step
    growing  (R,) bool, rows that are not finished
    told     (3, R) int64 for the host: tokens, rows whose scores are bad, rows that `sampling` is unsure of
    logits, scores  (R, V), of the last step; they stay where they are once captured
    """

    def __init__(
        self,
        session: StaticSession,
        history: History,
        steps: tuple[BoundStep, ...],
        held: int,
        draw: str,
        rng: Any,
        sampling: Sampling | None,
        *,
        everyone: bool,
        pads: bool,
    ) -> None:
        self._session, self._history, self._rng = session, history, rng
        self._steps, self._held, self._draw, self._sampling = steps, held, draw, sampling
        self._everyone, self._pads = everyone, pads
        rows, device = len(history.host_lengths), history.tokens.device
        last = history.lengths.unsqueeze(1) - 1  # (R,) -> (R, 1)
        self.newest = history.tokens.gather(1, last)
        self.growing = torch.ones(rows, dtype=torch.bool, device=device)
        self.written = torch.zeros_like(self.growing)
        self.told = torch.zeros(3, rows, dtype=torch.int64, device=device)
        self.logits = self.scores = torch.empty(0)

    def step(self) -> None:
        self.logits = self._session.tick(self.newest)
        self.scores = self._processed(self._held)
        if not self._draw:
            return
        if self._sampling is None:
            tokens, bad = self._drawn(self.scores)
            unsure = torch.zeros_like(bad)
        else:
            tokens, flags = self._sampling(self.scores.contiguous())
            bad, unsure = torch.zeros_like(self.growing), (flags != 0) & self.growing
        bad = bad & self.growing
        settled = ~(bad | unsure)
        self._take(tokens, settled if self._everyone else settled & self.growing)
        self.told[1], self.told[2] = bad, unsure

    def decide(self) -> None:
        """The rows that `told[2]` names; `told` says what became of them."""
        tokens, bad = self._drawn(self._processed(len(self._steps)))
        unsure = self.told[2] != 0
        bad = bad & unsure
        earlier = self.written.clone()
        self._take(torch.where(unsure, tokens, self.told[0]), unsure & ~bad)
        self.written.logical_or_(earlier)
        self.told[1] = bad

    def replace(self, tokens: Tensor, rows: Tensor) -> None:
        """(R,) int64 in the rows (R,) bool: what the host decided, and wrote, is fed next."""
        self.newest.copy_(torch.where(rows, tokens, self.newest[:, 0]).unsqueeze(1))

    def view(self) -> View:
        """The whole buffer: held steps are told the lengths, and take ids wider than the longest row."""
        history = self._history
        return View(history.tokens, history.lengths, history.prompt_lengths, (), ())

    def _processed(self, count: int) -> Tensor:
        scores, view = self.logits, self.view()
        for step in self._steps[:count]:
            scores = step(view, as_scores(scores))
        # A sampler reads half precision as it is.
        return scores if self._sampling is not None and count == self._held else as_scores(scores)

    def _drawn(self, scores: Tensor) -> tuple[Tensor, Tensor]:
        """(R, V) -> tokens (R,) int64, bad (R,) bool."""
        bad = bad_rows(scores)
        # torch's own draw would fail on the whole device over one NaN.
        safe = scores.masked_fill(bad.unsqueeze(1), 0.0)
        return (safe.argmax(-1) if self._draw == "argmax" else self._rng.categorical(safe)), bad

    def _take(self, tokens: Tensor, rows: Tensor) -> None:
        """(R,) int64, (R,) bool."""
        if self._pads:
            tokens = torch.where(self.growing, tokens, self._history.pad)
        self.newest.copy_(torch.where(rows, tokens, self.newest[:, 0]).unsqueeze(1))
        self.written.copy_(rows)
        self.told[0] = tokens
        self._history.write_on_device(tokens, rows)
