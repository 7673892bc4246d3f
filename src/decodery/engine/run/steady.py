"""A single row, step by step, where nobody looks on: what `append(pick())` comes to without being asked each time.

After the forward of a small model the caches are empty, so that a loop costs the code and the objects it touches, four
times what it costs alone: a step that touches little is what makes it short.
"""

from __future__ import annotations

import torch

from ...models.inference import ordinary
from ..plan.fused import Fused
from ..steps.apply import View
from .run import Run


class Steady:
    """One run's steps. `run` stays what it is after each of them, and can go on by itself at any time."""

    def __init__(self, run: Run, fused: Fused) -> None:
        self._run, self._fused, self._rng = run, fused, run.rng
        self._history, self._feed, self._rows = run._history, run._feed, run._rows
        self._plan, self._stops = run._plan, run._stops
        history = run._history
        self._prompt = history.host_prompt_lengths[0]
        self._view = View(history.tokens, history.lengths, history.prompt_lengths, history.host_lengths, (0,))
        self._shows = True  # until no edit looks at the text any more
        self._modes = {True: torch.inference_mode(), False: torch.no_grad()}

    @classmethod
    def of(cls, run: Run) -> Steady | None:
        """None where a step may need more than the forward, the fused steps and the stop rules' words."""
        fused = run._plan.all_fused
        plain = run._scores_unseen and run._stops.plain and not run._told and not run._watchers.want_tokens
        if fused is None or not plain or not run._lockstep or len(run._rows) > 1 or not run._history.on_host:
            return None
        return cls(run, fused)

    def step(self) -> bool:
        """False where `run` must, nothing being lost of what was asked of the model."""
        feed, run = self._feed, self._run
        if run._raw.known or not feed.level_with_history:
            return False
        with self._modes[feed.in_inference_mode]:
            logits = feed.next_column()
            token = self._fused.one(self._shown() if self._shows else self._view, logits, self._rng)
        if token is None:
            run._raw.set(ordinary(logits) if logits.is_inference() else logits)
            self._rows.activate([0])
            return False
        self._follow(token)
        return True

    def _shown(self) -> View:
        """What edits may ask for."""
        view, history = self._view, self._history
        self._shows = self._fused.looks
        if self._shows:
            view.input_ids, view.host_lengths = history.input_ids, history.host_lengths
        return view

    def _follow(self, token: int) -> None:
        """As `Run._record` and `Run._follow`."""
        history, rows = self._history, self._rows
        length = history.write_one(token)
        self._plan.observe_one(token)
        rows.ends[0] = length
        rows.reasons[0] = self._stops.of_token(token, length, self._prompt)
