"""One generation: session, bound steps, buffers and random numbers, behind the face that strategies see."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from ..contracts.errors import BadRow, CannotFollow, InvalidInput
from ..contracts.protocols import ModelFacts, Observer, RunRng, Tokenizer
from ..kernels.draw import bad_rows
from .apply import BoundStep, View
from .buffers.feed import Feed
from .buffers.history import History
from .choice import checked_ids, checked_tokens
from .hypotheses import Drafts, Hypothesis
from .io.observers import Watchers
from .plan import Plan, as_scores
from .stopping import StopRules

UNLIMITED = 2**62
Opener = Callable[["Run", str, Sequence[Sequence[int]], bool], "Run"]
"""(run, role, prompts, processors) -> a run of that role's model beside it."""


class Run:
    """See `contracts.protocols.Run`. Rows that are finished are not active, nor are, in the lockstep of per-token
    strategies, those whose prompt is still being fed: nothing is appended to them, and no step's state moves.

    `limits` (R,) int64 are the greatest lengths of the rows. `lockstep` is for per-token strategies. `rectangle` is
    transformers' own layout (`compat: hf`): no row is dropped, finished rows keep drawing and, where a rule knows eos,
    get the pad id.
    """

    def __init__(
        self,
        feed: Feed,
        history: History,
        plan: Plan,
        stops: StopRules,
        strategy: Any,
        rng: RunRng,
        *,
        limits: Tensor,
        samples: int = 1,
        lockstep: bool = True,
        rectangle: bool = False,
        on_bad_row: Literal["error", "stop_row"] = "error",
        observers: Sequence[Observer] = (),
        roles: frozenset[str] = frozenset(),
        role_prompts: Mapping[str, Sequence[Sequence[int]]] | None = None,
        model: ModelFacts,
        tokenizer: Tokenizer | None = None,
        opener: Opener | None = None,
    ) -> None:
        self._feed, self._history, self._plan, self._stops = feed, history, plan, stops
        self._strategy, self.rng, self.samples, self.roles = strategy, rng, samples, roles
        self._limits, self._opener, self.role_prompts = limits, opener, role_prompts or {}
        self.model, self.tokenizer = model, tokenizer
        self._lockstep, self._rectangle, self._on_bad_row = lockstep, rectangle, on_bad_row
        self._pads_finished = rectangle and stops.know_eos
        # A per-token strategy that keeps something a row is told of them like a processor.
        self._told = hasattr(strategy, "choose") and hasattr(strategy, "observe")
        self._watchers = Watchers(observers)
        # Whoever looks at processed scores must be shown some: then every step is asked.
        self._scores_unseen = stops.ids_only and not (self._watchers.want_scores or self._watchers.want_steps)
        self.reasons: list[str | None] = [None] * len(history.host_lengths)
        self.ends: list[int] = list(history.host_lengths)
        self.emitted: list[Hypothesis] = []
        self.lineage = list(range(len(self.reasons)))  # which of the first rows each row comes from
        self._active: list[int] = []
        self._mask = self._rows_mask([])
        self._raw: Tensor | None = None
        self._scores: Tensor | None = None
        self._drafts: Drafts | None = None

    # -- buffers ----------------------------------------------------------------------------------------------

    @property
    def lengths(self) -> Tensor:
        return self._history.lengths

    @property
    def prompt_lengths(self) -> Tensor:
        return self._history.prompt_lengths

    @property
    def padding(self) -> Tensor:
        return self._feed.padding

    @property
    def room(self) -> Tensor:
        return self._limits - self._history.lengths

    @property
    def input_ids(self) -> Tensor:
        return self._history.input_ids

    @property
    def finished(self) -> Tensor:
        return torch.tensor([reason is not None for reason in self.reasons], device=self._mask.device)

    @property
    def rectangle(self) -> bool:
        return self._rectangle

    @property
    def fallbacks(self) -> int:
        """How many rows of fused steps the steps themselves had to decide, so far."""
        return self._plan.fallbacks

    @property
    def unprocessed(self) -> bool:
        return not self._plan.processors

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
            unfinished = self._unfinished()
            if not unfinished:
                raise InvalidInput("every row is finished, so no logits are due", remedy="ask run.done first")
            if self._lockstep:
                self._raw, active = self._feed.logits(unfinished)
            else:
                self._raw, active = (
                    self._feed.window(unfinished, [1] * len(self.reasons))[:, 0],
                    unfinished,
                )  # (R, 1, V) -> (R, V)
            self._set_active(self._everyone() if self._rectangle else active)
        return self._raw

    @torch.no_grad()
    def process(self, values: Tensor) -> Tensor:
        self._settle()
        return self._plan(self._view(), values, self._watchers.step_teller(self._growing_mask))

    def scores(self, values: Tensor | None = None) -> Tensor:
        if self._scores is None or values is not None:
            raw = self.logits()
            self._scores = self._checked(raw, self.process(raw if values is None else values))
            self._watchers.scores(as_scores(raw), self._scores, self._growing_mask)
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

    def append(self, tokens: Tensor, stop: bool = True, rows: Tensor | None = None) -> None:
        if self._watchers.want_scores:
            self.scores()
        self._settle()
        scores = self._scores
        if stop and scores is None:
            # A strategy that ranks candidates itself has no processed scores; the rules are shown the model's.
            scores = self._no_scores() if self._stops.ids_only else as_scores(self.logits())
        if rows is not None:
            chosen: list[bool] = rows.tolist()
            self._set_active([row for row in self._active if chosen[row]])
        self._record(tokens, scores if stop else None)

    def finish(self, rows: Tensor, reason: str) -> None:
        for row in rows.nonzero().flatten().tolist():  # (R,) -> (F, 1) -> (F,)
            self.reasons[row] = self.reasons[row] or reason
        if not self._rectangle:
            self._set_active(self._growing())

    # -- rows -------------------------------------------------------------------------------------------------

    def select(self, rows: Tensor) -> None:
        """Raises `CannotFollow` for a step that keeps state and cannot be reordered."""
        self._check_followers("reordered", "select")
        rows = rows.to(self._history.tokens.device)
        host_rows: list[int] = rows.tolist()
        if host_rows == self._everyone():
            return
        self._history.select(rows, host_rows)
        self._feed.select(rows, host_rows)
        copies = torch.tensor(_earlier_copies(host_rows), device=rows.device)
        self.rng.select(rows, copies, self._history.steps)
        self._limits = self._limits[rows]
        self._plan.select(rows, host_rows)
        for step in self._stops.rules:
            step.select(rows, host_rows)
        if self._told:
            self._strategy.select(rows)
        self._watchers.select(rows)
        self.reasons = [self.reasons[row] for row in host_rows]
        self.lineage = [self.lineage[row] for row in host_rows]
        self.ends = [self.ends[row] for row in host_rows]
        old = set(self._active)
        self._set_active([place for place, row in enumerate(host_rows) if row in old])
        self._raw = None if self._raw is None else self._raw[rows]  # (R, V) -> (R', V)
        self._scores = None if self._scores is None else self._scores[rows]
        self._drafts = None

    def rewind(self, counts: Tensor) -> None:
        """Rows that lose tokens are not finished any more. Raises `CannotFollow`, and `InvalidInput` for a count that
        reaches into the prompt."""
        self._check_followers("taken back", "rewind")
        counts = counts.to(self._history.tokens.device)
        host_counts: list[int] = counts.tolist()
        for row, count in enumerate(host_counts):
            generated = self._history.host_lengths[row] - self._history.host_prompt_lengths[row]
            if not 0 <= count <= generated:
                raise InvalidInput(
                    f"row {row} has {generated} generated tokens; {count} cannot be taken back"
                )
        self._take_back(counts, host_counts)
        self._feed.keep(self._history.host_lengths)
        if self._told:
            self._strategy.rewind(counts)
        self._watchers.rewind(counts)
        for row, count in enumerate(host_counts):
            if count:
                self.reasons[row], self.ends[row] = None, self._history.host_lengths[row]
        self._raw = self._scores = self._drafts = None

    # -- several tokens in one forward ------------------------------------------------------------------------

    @torch.no_grad()
    def verify(self, drafts: Tensor, widths: Tensor | None = None) -> Tensor:
        """Raises `CannotFollow` for a step that cannot take tokens back, `InvalidInput` for drafts beyond `room`."""
        rows = self._unfinished()
        drafts = checked_ids(drafts, len(self.reasons), self._history.tokens.device)
        most, room = [drafts.shape[1]] * len(drafts), self.room.tolist()
        host_widths = (
            most if widths is None else [min(*pair) for pair in zip(most, widths.tolist(), strict=True)]
        )
        for row in rows:
            if host_widths[row] >= room[row]:
                raise InvalidInput(
                    f"{host_widths[row]} drafts for row {row}, which has room for {room[row]} tokens",
                    remedy="draft fewer than run.room",
                )
        if any(host_widths[row] for row in rows):
            self._check_followers("taken back", "rewind")
        columns = [[row for row in rows if column < host_widths[row]] for column in range(drafts.shape[1])]
        written = torch.zeros_like(self._history.lengths)
        for column, members in enumerate(columns):
            self._set_active(members)
            self._history.write(drafts[:, column], self._mask, members)
            written += self._mask
        host_written = written.tolist()
        try:
            raw = self._feed.window(rows, [count + 1 for count in host_written])  # (R, K + 1, V)
        finally:
            self._history.rewind(written, host_written)
        self._set_active(rows)
        scores = [self._plan(self._view(), raw[:, 0])]
        for column, members in enumerate(columns):
            self._set_active(members)
            self._history.write(drafts[:, column], self._mask, members)
            self._plan.observe(drafts[:, column], self._mask)
            # Where no row drafts so far, nothing is looked at.
            last = raw[:, min(column + 1, raw.shape[1] - 1)]
            scores.append(self._plan(self._view(), last) if members else scores[-1])
        self._history.rewind(written, host_written)
        self._plan.rewind(written)
        self._set_active(rows)
        self._raw = self._scores = None
        self._drafts = Drafts(drafts, raw, scores)
        return torch.stack(scores, dim=1)  # (K + 1) x (R, V) -> (R, K + 1, V)

    def accept(self, counts: Tensor, following: Tensor) -> None:
        """Raises `BadRow` at the position whose scores are bad, `InvalidInput` where nothing was verified."""
        verified, self._drafts = self._drafts, None
        if verified is None:
            raise InvalidInput(
                "nothing was verified since the rows last changed", remedy="call run.verify first"
            )
        host_counts: list[int] = counts.tolist()
        if any(not 0 <= host_counts[row] <= verified.tokens.shape[1] for row in self._unfinished()):
            raise InvalidInput(f"counts {host_counts} of {verified.tokens.shape[1]} verified drafts")
        following = checked_tokens(following, verified.scores[0], type(self._strategy).__name__)
        last = counts.to(following.device)
        tokens = torch.cat((verified.tokens, following.unsqueeze(1)), dim=1)  # (R, K) + (R, 1) -> (R, K + 1)
        lengths = self._history.host_lengths
        self._feed.keep([length + count for length, count in zip(lengths, host_counts, strict=True)])
        for place, processed in enumerate(verified.scores):
            rows = [row for row in self._unfinished() if place <= host_counts[row]]
            if not rows:
                break
            self._set_active(rows)
            self._raw = verified.raw[:, min(place, verified.raw.shape[1] - 1)]
            self._scores = scores = self._checked(self._raw, processed)
            self._watchers.scores(as_scores(self._raw), scores, self._growing_mask)
            if self._watchers.want_steps:  # nothing was shown of drafts that might not stay
                self.process(self._raw)
            self._record(torch.where(last == place, following, tokens[:, place]), scores)

    # -- candidates and hypotheses ----------------------------------------------------------------------------

    def stops(self, rows: Tensor, tokens: Tensor) -> list[str | None]:
        host_rows: list[int] = rows.tolist()
        history = self._history
        ids = history.with_candidates(rows, tokens)
        lengths = history.lengths[rows] + 1
        host_lengths = [history.host_lengths[row] + 1 for row in host_rows]
        view = View(ids, lengths, history.prompt_lengths[rows], host_lengths, range(len(host_rows)))
        raw = self._raw if self._scores is None else self._scores
        return self._stops.ask_of(view, host_rows, tokens, raw)

    def emit(self, prompt: int, tokens: Sequence[int], score: float, reason: str) -> None:
        self.emitted.append(Hypothesis(prompt, tuple(tokens), score, reason))

    # -- inside and beside the model --------------------------------------------------------------------------

    def hidden(self, layers: Sequence[int], newest: int | None = None) -> Tensor:
        self._feed.watch(layers)
        if self._unfinished():
            self.logits()
        return self._feed.hidden(newest)

    def head(self, states: Tensor) -> Tensor:
        return self._feed.head(states)

    def open(
        self, role: str, prompts: Sequence[Sequence[int]] | None = None, processors: bool = False
    ) -> Run:
        if self._opener is None or (role != "model" and role not in self.roles):
            raise InvalidInput(
                f"there is no model for the role {role!r}", remedy=f"Decoder(..., models={{{role!r}: model}})"
            )
        history = self._history
        if prompts is None:
            given = self.role_prompts.get(role)
            prompts = None if given is None else [given[row] for row in self.lineage]
        if prompts is None:
            ends = zip(self.padding.tolist(), history.host_lengths, strict=True)
            prompts = [history.tokens[row, begin:end].tolist() for row, (begin, end) in enumerate(ends)]
        return self._opener(self, role, prompts, processors)

    # -- under the face ---------------------------------------------------------------------------------------

    def _everyone(self) -> list[int]:
        return list(range(len(self.reasons)))

    def _unfinished(self) -> list[int]:
        return [row for row, reason in enumerate(self.reasons) if reason is None]

    def _growing(self) -> list[int]:
        """Active rows that are not finished: in transformers' layout finished rows go on drawing, for nobody to see."""
        return [row for row in self._active if self.reasons[row] is None]

    def _growing_mask(self) -> Tensor:
        return self._rows_mask(self._growing())

    def _rows_mask(self, rows: Sequence[int]) -> Tensor:
        """(R,) bool."""
        mask = torch.zeros(len(self.reasons), dtype=torch.bool, device=self._history.tokens.device)
        mask[list(rows)] = True
        return mask

    def _set_active(self, rows: list[int]) -> None:
        if rows != self._active or len(self._mask) != len(self.reasons):
            self._active, self._mask = rows, self._rows_mask(rows)

    def _no_scores(self) -> Tensor:
        """(R, 0), for rules that look at ids alone."""
        return torch.empty(len(self.reasons), 0, device=self._history.tokens.device)

    def _settle(self) -> None:
        """Know which rows are due: in lockstep that comes with the logits."""
        if self._lockstep:
            self.logits()
        elif self._raw is None:
            self._set_active(self._everyone() if self._rectangle else self._unfinished())

    def _view(self) -> View:
        history = self._history
        return View(
            history.input_ids, history.lengths, history.prompt_lengths, history.host_lengths, self._active
        )

    def _record(self, tokens: Tensor, scores: Tensor | None) -> None:
        """One token (R,) in every active row; with `scores` (R, V) the stop rules are asked."""
        tokens = tokens.to(self._history.tokens.device)
        if self._pads_finished:
            tokens = tokens.masked_fill(self.finished, self._history.pad)
        self._history.write(tokens, self._mask, self._active)
        self._plan.observe(tokens, self._mask)
        self._stops.observe(tokens, self._mask)
        if self._told:
            self._strategy.observe(tokens, self._mask)
        growing = self._growing()
        for row in growing:
            self.ends[row] = self._history.host_lengths[row]
        if scores is not None:
            reasons = self._stops.ask(self._view(), scores)
            for row in growing:
                self.reasons[row] = reasons[row]
        self._watchers.tokens(tokens, lambda: self._rows_mask(growing), self.reasons)
        self._raw = self._scores = self._drafts = None

    def _take_back(self, counts: Tensor, host_counts: list[int]) -> None:
        """(R,) int64, and the same on the host: out of the history and the steps."""
        self._history.rewind(counts, host_counts)
        self._plan.rewind(counts)
        for step in self._stops.rules:
            step.rewind(counts)

    def _check_followers(self, what: str, method: str) -> None:
        steps: list[BoundStep] = [*self._plan.processors, *self._stops.rules]
        for step in steps:
            if not step.follows:
                raise CannotFollow(
                    f"{step.name!r} keeps state and has no observe, select and rewind, so rows cannot be {what}",
                    remedy="give it the three methods, or add it with stateless=True if it keeps nothing",
                )
        if self._told and not hasattr(self._strategy, method):
            raise CannotFollow(
                f"strategy {type(self._strategy).__name__!r} keeps state and has no {method}, so rows cannot be {what}",
                remedy=f"give it {method}()",
            )

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
