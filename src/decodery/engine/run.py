"""One generation: session, bound steps, buffers and random numbers, behind the face that strategies see."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from ..contracts.errors import BadRow, CannotFollow, InvalidInput, PluginError
from ..contracts.protocols import Observer, RunRng, ScoreObserver, StepObserver, TokenObserver
from ..kernels.draw import bad_rows
from .apply import BoundStep, View
from .buffers.feed import Feed
from .buffers.history import History
from .io.observers import who_want
from .plan import Plan, as_scores


class Run:
    """See `contracts.protocols.Run`. Rows that are finished, or whose prompt is still being fed, are not active:
    nothing is appended to them, and no step's state moves.

    `context` is the model's longest sequence. `rectangle` is transformers' own layout (`compat: hf`): no row is
    dropped, finished rows keep drawing and, where a rule knows eos, get the pad id.
    """

    def __init__(
        self,
        feed: Feed,
        history: History,
        plan: Plan,
        stops: Sequence[BoundStep],
        strategy: Any,
        rng: RunRng,
        *,
        context: int | None,
        rectangle: bool = False,
        on_bad_row: Literal["error", "stop_row"] = "error",
        observers: Sequence[Observer] = (),
    ) -> None:
        self._feed, self._history, self._plan, self._stops = feed, history, plan, stops
        self._strategy, self.rng = strategy, rng
        self._context, self._rectangle, self._on_bad_row = context, rectangle, on_bad_row
        self._pads_finished = rectangle and any(rule.reason == "eos" for rule in stops)
        self._observers = observers
        self._token_observers: list[TokenObserver] = who_want(observers, "tokens")
        self._score_observers: list[ScoreObserver] = who_want(observers, "scores")
        self._step_observers: list[StepObserver] = who_want(observers, "steps")
        # Whoever looks at processed scores must be shown some: then every step is asked.
        self._scores_unseen = not (self._score_observers or self._step_observers) and all(
            rule.trusted and rule.name != "confidence" for rule in stops
        )
        self.reasons: list[str | None] = [None] * len(history.host_lengths)
        self.ends: list[int] = list(history.host_lengths)
        self._active: list[int] = []
        self._mask = self._rows_mask([])
        self._raw: Tensor | None = None
        self._scores: Tensor | None = None

    # -- buffers ----------------------------------------------------------------------------------------------

    @property
    def lengths(self) -> Tensor:
        return self._history.lengths

    @property
    def prompt_lengths(self) -> Tensor:
        return self._history.prompt_lengths

    @property
    def input_ids(self) -> Tensor:
        return self._history.input_ids

    @property
    def finished(self) -> Tensor:
        return torch.tensor([reason is not None for reason in self.reasons], device=self._mask.device)

    @property
    def active(self) -> list[int]:
        """The rows whose logits are due."""
        return self._active

    @property
    def done(self) -> bool:
        return None not in self.reasons

    def generated(self, row: int, since: int = 0) -> list[int]:
        """The new tokens of one row from the `since`-th on, its last one included, nothing after it."""
        begin = self._history.host_prompt_lengths[row] + since
        return self._history.tokens[row, begin : self.ends[row]].tolist()

    # -- one step ---------------------------------------------------------------------------------------------

    def logits(self) -> Tensor:
        if self._raw is None:
            unfinished = [row for row, reason in enumerate(self.reasons) if reason is None]
            if not unfinished:
                raise InvalidInput("every row is finished, so no logits are due", remedy="ask run.done first")
            self._raw, active = self._feed.logits(unfinished)
            self._set_active(list(range(len(self.reasons))) if self._rectangle else active)
        return self._raw

    @torch.no_grad()
    def process(self, values: Tensor) -> Tensor:
        self.logits()  # which rows are due is known with them
        return self._plan(self._view(), values, self._watch if self._step_observers else None)

    def scores(self) -> Tensor:
        if self._scores is None:
            raw = self.logits()
            self._scores = self._checked(raw, self.process(raw))
            for observer in self._score_observers:
                observer.on_scores(as_scores(raw), self._scores, self._rows_mask(self._growing()))
        return self._scores

    def pick(self) -> Tensor:
        if self._scores is None and self._scores_unseen:
            logits = self.logits()  # which rows are due is known with them
            tokens, scores = self._plan.pick(self._view(), logits, self.rng)
            if tokens is not None:
                return tokens
            self._scores = self._checked(logits, scores)
        scores = self.scores()
        return checked_tokens(self._strategy.choose(scores, self.rng), scores, type(self._strategy).__name__)

    def uniform(self, purpose: str, ahead: int = 0) -> Tensor:
        return self.rng.uniform(purpose, ahead)

    def append(self, tokens: Tensor, stop: bool = True) -> None:
        if self._score_observers:
            self.scores()
        # A strategy that ranks candidates itself has no processed scores; the rules are shown the model's.
        scores = as_scores(self.logits()) if self._scores is None else self._scores
        tokens = tokens.to(self._history.tokens.device)
        if self._pads_finished:
            tokens = tokens.masked_fill(self.finished, self._history.pad)
        self._history.write(tokens, self._mask, self._active)
        self._plan.observe(tokens, self._mask)
        for rule in self._stops:
            rule.observe(tokens, self._mask)
        growing = self._growing()
        for row in growing:
            self.ends[row] = self._history.host_lengths[row]
        if stop:
            self._finish(scores, growing)
        for observer in self._token_observers:
            observer.on_tokens(tokens, self._rows_mask(growing), self.reasons)
        self._raw = self._scores = None

    def select(self, rows: Tensor) -> None:
        """Raises `CannotFollow` for a step that keeps state and cannot be reordered."""
        self._check_followers("reordered")
        rows = rows.to(self._history.tokens.device)
        host_rows: list[int] = rows.tolist()
        self._history.select(rows, host_rows)
        self._feed.select(rows, host_rows)
        self.rng.select(
            rows, torch.tensor(_earlier_copies(host_rows), device=rows.device), self._history.steps
        )
        self._plan.select(rows, host_rows)
        for step in self._stops:
            step.select(rows, host_rows)
        for observer in self._observers:
            if hasattr(observer, "on_select"):
                observer.on_select(rows)
        self.reasons = [self.reasons[row] for row in host_rows]
        self.ends = [self.ends[row] for row in host_rows]
        old = set(self._active)
        self._set_active([place for place, row in enumerate(host_rows) if row in old])
        self._raw = None if self._raw is None else self._raw[rows]  # (R, V) -> (R', V)
        self._scores = None if self._scores is None else self._scores[rows]

    def rewind(self, counts: Tensor) -> None:
        """Rows that lose tokens are not finished any more. Raises `CannotFollow`, and `InvalidInput` for a count that
        reaches into the prompt."""
        self._check_followers("taken back")
        counts = counts.to(self._history.tokens.device)
        host_counts: list[int] = counts.tolist()
        for row, count in enumerate(host_counts):
            generated = self._history.host_lengths[row] - self._history.host_prompt_lengths[row]
            if not 0 <= count <= generated:
                raise InvalidInput(
                    f"row {row} has {generated} generated tokens; {count} cannot be taken back"
                )
        self._history.rewind(counts, host_counts)
        self._feed.rewind(host_counts)
        self._plan.rewind(counts)
        for step in self._stops:
            step.rewind(counts)
        for observer in self._observers:
            if hasattr(observer, "on_rewind"):
                observer.on_rewind(counts)
        for row, count in enumerate(host_counts):
            if count:
                self.reasons[row], self.ends[row] = None, self._history.host_lengths[row]
        self._raw = self._scores = None

    # -- inside -----------------------------------------------------------------------------------------------

    def _view(self) -> View:
        history = self._history
        return View(
            history.input_ids, history.lengths, history.prompt_lengths, history.host_lengths, self._active
        )

    def _watch(self, name: str, before: Tensor, after: Tensor) -> None:
        for observer in self._step_observers:
            observer.on_step(name, before, after, self._rows_mask(self._growing()))

    def _growing(self) -> list[int]:
        """Active rows that are not finished: in transformers' layout finished rows go on drawing, for nobody to see."""
        return [row for row in self._active if self.reasons[row] is None]

    def _set_active(self, rows: list[int]) -> None:
        if rows != self._active or len(self._mask) != len(self.reasons):
            self._active, self._mask = rows, self._rows_mask(rows)

    def _check_followers(self, what: str) -> None:
        for step in (*self._plan.processors, *self._stops):
            if not step.follows:
                raise CannotFollow(
                    f"{step.name!r} keeps state and has no observe, select and rewind, so rows cannot be {what}",
                    remedy="give it the three methods, or add it with stateless=True if it keeps nothing",
                )

    def _rows_mask(self, rows: Sequence[int]) -> Tensor:
        """(R,) bool."""
        mask = torch.zeros(len(self.reasons), dtype=torch.bool, device=self._history.tokens.device)
        mask[list(rows)] = True
        return mask

    def _finish(self, scores: Tensor, growing: Sequence[int]) -> None:
        """Ask every rule; in a row, the first rule of the recipe that says stop gives the reason."""
        view = self._view()
        if self._stops:
            answers = torch.stack([rule(view, scores) for rule in self._stops]).tolist()  # S x (R,) -> (S, R)
            for rule, answer in zip(self._stops, answers, strict=True):
                for row in growing:
                    if answer[row] and self.reasons[row] is None:
                        self.reasons[row] = rule.reason
        if self._context is not None:
            for row in growing:
                if self.reasons[row] is None and self._history.host_lengths[row] >= self._context:
                    self.reasons[row] = "context"

    def _checked(self, raw: Tensor, scores: Tensor) -> Tensor:
        """Name the first bad row, or end it alone. The row's scores become zeros, so that the others' draw is as it
        would have been."""
        bad = bad_rows(scores).tolist()
        for row in self._active:
            if not bad[row] or self.reasons[row] is not None:
                continue
            if self._on_bad_row == "error":
                processor, what = self._plan.blame(self._view(), raw, row)
                raise BadRow(row, int(self._history.steps[row]), processor, what)
            self.reasons[row] = "error"
        if any(bad):
            scores = scores.masked_fill(
                torch.tensor(bad, device=scores.device).unsqueeze(1), 0.0
            )  # (R,) -> (R, 1)
            if not self._rectangle:
                self._set_active([row for row in self._active if not bad[row]])
        return scores


def _earlier_copies(rows: Sequence[int]) -> list[int]:
    """For each place, how often its row stood before: [3, 1, 3] -> [0, 0, 1]."""
    seen: Counter[int] = Counter()
    copies = []
    for row in rows:
        copies.append(seen[row])
        seen[row] += 1
    return copies


def checked_tokens(tokens: object, scores: Tensor, who: str) -> Tensor:
    """What a strategy chose, as (R,) int64 ids. Raises `PluginError` for anything else. On a GPU the range is left to
    the model, since looking at it would wait for the device."""
    if not isinstance(tokens, Tensor) or tokens.shape != scores.shape[:1] or tokens.dtype != torch.int64:
        found = (
            f"{tokens.dtype} {tuple(tokens.shape)}" if isinstance(tokens, Tensor) else type(tokens).__name__
        )
        raise PluginError(
            f"strategy {who!r} chose {found} for {len(scores)} rows", remedy="return (R,) int64, one id a row"
        )
    if tokens.device.type == "cpu" and not bool(((tokens >= 0) & (tokens < scores.shape[-1])).all()):
        raise PluginError(
            f"strategy {who!r} chose {tokens.tolist()} of {scores.shape[-1]} tokens",
            remedy="choose ids of the vocabulary",
        )
    return tokens
