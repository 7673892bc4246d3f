"""The bound processors as one function of the scores.

The reference meaning of a recipe is its steps one after another, in float32, on a tensor that the caller never sees
changed; a faster plan may only replace a run of steps by a kernel that draws the same token.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from ...host.registry import Host
from ...kernels import identical
from ...kernels.draw import bad_rows
from ...kernels.table import Choice, choose
from ..rng import RowRng, TorchRng
from ..steps.apply import BoundStep, View
from .fused import Fused, as_scores, bind_head, cannot_fuse
from .tail import BoundEdit, Tail, find_tail

__all__ = ["Plan", "Watcher", "as_scores"]
Watcher = Callable[[str, Tensor, Tensor], None]
"""Called with a processor's name, its scores before and after: (R, V) each."""
_KNOWN = (RowRng, TorchRng)
"""The random numbers that fused steps can draw."""


class Plan:
    """The processors of one run, in order."""

    def __init__(self, processors: Sequence[BoundStep]) -> None:
        self.processors = tuple(processors)
        self._observing = [step for step in processors if any(hasattr(i, "observe") for i in step.instances)]
        self.choice = Choice(None, ("not asked to draw",))
        self._tail = Tail(len(self.processors), (), (), len(self.processors))
        self._edits: list[BoundEdit] = []
        self._fused: Fused | None = None
        self._draw, self._place, self._on_host = "custom", "cpu", True
        self._undecided = 0
        self.looked = not any("reads_history" in step.traits for step in processors)
        """Whether nobody need look any more at the ids of a caller's own loop: see `own_loop`."""

    def fuse(
        self, draw: str, host: Host, device: torch.device, prompt_lengths: Tensor, *, shared: bool = False
    ) -> Plan:
        """Look for kernels, for a strategy whose spec says `draw`. `shared`: several threads may use the plan at once.

        Raises `UnknownName` when DECODERY_KERNELS names no backend.
        """
        if draw == "custom":
            self.choice = Choice(None, ("the strategy draws in its own way",))
            return self
        greedy, self._place = draw == "argmax", device.type
        self._on_host = self._place == "cpu"
        self._tail = find_tail(self.processors)
        self.choice = choose(host, device.type, None if greedy else self._tail.chain)
        refusal = cannot_fuse(self._tail) if greedy else ""
        if refusal:
            self.choice = Choice(None, (refusal,))
        if self._on_host:
            self._draw = draw
        if self.choice.backend is not None:
            head = bind_head(self._tail, prompt_lengths, shared, self.choice.backend)
            self._edits = [part for part in head if isinstance(part, BoundEdit)]
            self._fused = Fused(self.processors, self._tail, head, self.choice.backend, greedy, shared)
        return self

    @property
    def fallbacks(self) -> int:
        """How many rows of fused steps the steps themselves had to decide, so far."""
        return self._undecided + (0 if self._fused is None else self._fused.fallbacks)

    @property
    def all_fused(self) -> Fused | None:
        """The fused steps, where all are."""
        return self._fused if not self._tail.begin else None

    def undecided(self, count: int) -> None:
        """So many rows of a graph's fused steps were decided by the steps themselves."""
        self._undecided += count

    def pick(self, view: View, logits: Tensor, rng: Any) -> tuple[Tensor | None, Tensor]:
        """(R, V) raw -> ((R,) tokens, scores of no use), or (None, (R, V) processed scores) where the strategy must
        choose; nothing was drawn then.

        The steps before the fused ones are called once either way.
        """
        logits = logits.detach() if logits.requires_grad else logits
        # A device's name is the one word of a tensor that is slow to ask for.
        if not logits.is_cpu if self._on_host else logits.device.type != self._place:
            return None, self(view, logits)  # a caller's own loop, whose tensors may be anywhere
        if self._fused is None or logits.dtype is torch.float64 or not isinstance(rng, _KNOWN):
            scores = self(view, logits)
            return self._dense_draw(scores, rng), scores
        begin = self._tail.begin
        scores = logits
        if begin:
            scores = as_scores(logits)
            for step in self.processors[:begin]:
                scores = step(view, scores)
        tokens = self._fused.pick(view, scores, rng)
        if tokens is not None:
            return tokens, scores
        scores = as_scores(scores)
        for step in self.processors[begin:]:
            scores = step(view, scores)
        return self._dense_draw(scores, rng), scores

    def _dense_draw(self, scores: Tensor, rng: Any) -> Tensor | None:
        """transformers' draw from whole rows, where that can be had for less than `torch.multinomial`."""
        if (
            self._draw != "categorical"
            or self.choice.reasons[-1:] == ("DECODERY_KERNELS=reference",)
            or not isinstance(rng, TorchRng)
            or scores.dtype != torch.float32
            or not identical.holds()
            or bool(bad_rows(scores).any())
        ):
            return None
        begin = rng.state()
        tokens, flags = identical.dense_draw(scores, rng.generator)
        if not bool(flags.any()):
            return tokens
        self._undecided += int(flags.sum())
        rng.restore(begin)
        return None

    def __call__(self, view: View, logits: Tensor, watch: Watcher | None = None) -> Tensor:
        """(R, V) raw -> (R, V) processed. The same tensor comes back when every step is idle."""
        scores = as_scores(logits)
        for step in self.processors:
            before, scores = scores, step(view, scores)
            if watch is not None:
                watch(step.name, before, scores)
        return scores

    def observe(self, tokens: Tensor, active: Tensor) -> None:
        """(R,) int64, (R,) bool: one accepted token in every active row."""
        for step in self._observing:
            step.observe(tokens, active)
        for part in self._edits:
            part.observe(tokens, active)

    def observe_one(self, token: int) -> None:
        """The same for an only row."""
        for step in self._observing:
            step.observe(torch.tensor([token]), torch.tensor([True]))
        for part in self._edits:
            part.observe_one(token)

    def select(self, rows: Tensor, host_rows: Sequence[int]) -> None:
        """(R',) int64, and the same on the host."""
        for step in self.processors:
            step.select(rows, host_rows)
        for part in self._edits:
            part.select(rows)

    def rewind(self, counts: Tensor) -> None:
        """(R,) int64."""
        for step in self.processors:
            step.rewind(counts)
        for part in self._edits:
            part.rewind(counts)

    def blame(
        self, view: View, logits: Tensor, row: int, values: Tensor | None = None, maker: str = "strategy"
    ) -> tuple[str, str]:
        """Which processor made `row` bad, and how: ("top_p", "every token is banned"). Runs the steps once more for
        that row; applying changes no state, by contract. `values` (R, V) are what a strategy, the `maker`, made of the
        logits for the processors, where it did."""
        scores = as_scores(logits)
        if bad_rows(scores)[row]:
            return "model", _what(scores[row])
        if values is not None:
            scores = as_scores(values)
            if bad_rows(scores)[row]:
                return maker, _what(scores[row])
        alone = View(view.input_ids, view.lengths, view.prompt_lengths, view.host_lengths, [row])
        for step in self.processors:
            scores = step(alone, scores)
            if bad_rows(scores)[row]:
                return step.name, _what(scores[row])
        # Clean this time: a step whose call itself moves its state did it, and cannot be made to do it again.
        suspects = [step.name for step in self.processors if not step.stateless] or ["model"]
        return " or ".join(suspects), "scores that cannot be drawn from"


def _what(scores: Tensor) -> str:
    if scores.isnan().any():
        return "NaN scores"
    return "every token is banned" if bool((scores == -torch.inf).all()) else "infinite scores"
