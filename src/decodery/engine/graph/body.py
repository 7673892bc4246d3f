"""One step as a function of device memory: nothing in it asks the host, so that a CUDA graph can replay it."""

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
    """The forward, the processors `steps`, and where `draw` says how ("argmax", "categorical"), the draw and the
    history too; with "" whoever calls does the rest with `scores`.

    newest   (R, 1) int64, what the model is fed
    growing  (R,) bool, rows that are not finished; `everyone`: the finished ones are written too, the pad id
    told     (3, R) int64 for the host: tokens, rows whose scores are bad, rows that `sampling` is unsure of
    logits, scores  (R, V), of the last step; they stay where they are once captured
    written  (R,) bool, rows whose history moved
    """

    def __init__(
        self,
        session: StaticSession,
        history: History,
        steps: tuple[BoundStep, ...],
        draw: str,
        rng: Any,
        sampling: Sampling | None,
        *,
        everyone: bool,
        pads: bool,
    ) -> None:
        self._session, self._history, self._steps, self._rng = session, history, steps, rng
        self._draw, self._sampling, self._everyone, self._pads = draw, sampling, everyone, pads
        rows, device = len(history.host_lengths), history.tokens.device
        last = history.lengths.unsqueeze(1) - 1  # (R,) -> (R, 1)
        self.newest = history.tokens.gather(1, last)
        self.growing = torch.ones(rows, dtype=torch.bool, device=device)
        self.told = torch.zeros(3, rows, dtype=torch.int64, device=device)
        self.logits = self.scores = torch.empty(0)
        self.written = self.growing

    def view(self) -> View:
        """The whole buffer: held steps are told the lengths, and take ids wider than the longest row."""
        history = self._history
        return View(history.tokens, history.lengths, history.prompt_lengths, (), ())

    def __call__(self) -> None:
        self.logits = self._session.tick(self.newest)
        scores, view = self.logits if self._sampling else as_scores(self.logits), self.view()
        for step in self._steps:
            scores = step(view, as_scores(scores))
        self.scores = scores
        if self._draw:
            self.record(*self._drawn(scores))

    def record(self, tokens: Tensor, bad: Tensor, unsure: Tensor) -> None:
        """(R,) int64, (R,) bool each: into the history, and to the host."""
        stalled = (bad | unsure) & self.growing
        self.written = ~stalled if self._everyone else self.growing & ~stalled
        if self._pads:
            tokens = torch.where(self.growing, tokens, self._history.pad)
        self._history.write_on_device(tokens, self.written)
        self.newest.copy_(torch.where(self.written, tokens, self.newest[:, 0]).unsqueeze(1))
        self.told[0] = tokens
        self.told[1] = bad & self.growing
        self.told[2] = unsure & self.growing

    def replace(self, tokens: Tensor, rows: Tensor) -> None:
        """(R,) int64 in the rows (R,) bool: what the host decided is fed next."""
        self.newest.copy_(torch.where(rows, tokens, self.newest[:, 0]).unsqueeze(1))

    def _drawn(self, scores: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        if self._sampling is not None:
            tokens, flags = self._sampling(scores.contiguous())
            return tokens, torch.zeros_like(self.growing), flags != 0
        bad = bad_rows(scores)
        # torch's own draw would fail on the whole device over one NaN.
        safe = scores.masked_fill(bad.unsqueeze(1), 0.0)
        tokens = safe.argmax(-1) if self._draw == "argmax" else self._rng.categorical(safe)
        return tokens, bad, torch.zeros_like(bad)
