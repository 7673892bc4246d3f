"""What a strategy may do with one generation: `contracts.protocols.Run`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

import torch
from torch import Tensor

from ...contracts import protocols
from ...contracts.errors import BadRow, InvalidInput
from ...kernels.draw import bad_rows
from ..plan.plan import as_scores
from ..steps.apply import View
from .choice import checked_ids, checked_tokens
from .hypotheses import Hypothesis
from .roster import earlier_copies
from .state import RunState
from .verifying import verified


class Run(RunState):
    """Rows that are finished are not active, nor are, in the lockstep of per-token strategies, those whose prompt is
    still being fed: nothing is appended to them, and no step's state moves."""

    # -- one step ---------------------------------------------------------------------------------------------

    def logits(self) -> Tensor:
        raw = self._raw.get()
        if raw is None:
            unfinished = self._rows.unfinished
            if not unfinished:
                raise InvalidInput("every row is finished, so no logits are due", remedy="ask run.done first")
            if self._lockstep:
                raw, active = self._feed.logits(unfinished)
            else:
                raw, active = (
                    self._feed.window(unfinished, [1] * len(self._rows))[:, 0],
                    unfinished,
                )  # (R, 1, V) -> (R, V)
            self._vocab = raw.shape[-1]
            self._raw.set(raw)
            self._rows.activate(self._rows.everyone if self._rectangle else active)
        return raw

    @torch.no_grad()
    def process(self, values: Tensor) -> Tensor:
        self._settle()
        return self._plan(self._view(), values, self._watchers.step_teller(self._rows.growing_mask))

    def scores(self, values: Tensor | None = None) -> Tensor:
        scores = self._scores.get()
        if scores is None or values is not None:
            raw = self.logits()
            scores = self._checked(raw, self.process(raw if values is None else values), values)
            self._scores.set(scores)
            self._watchers.scores(as_scores(raw), scores, self._rows.growing_mask)
        return scores

    def pick(self) -> Tensor:
        if not self._scores.known and self._scores_unseen:
            logits = self.logits()  # which rows are due is known with them
            tokens, scores = self._plan.pick(self._view(), logits, self.rng)
            if tokens is not None:
                return tokens
            self._scores.set(self._checked(logits, scores))
        scores = self.scores()
        return checked_tokens(self._strategy.choose(scores, self.rng), scores, type(self._strategy).__name__)

    def uniform(self, purpose: str, ahead: int = 0) -> Tensor:
        return self.rng.uniform(purpose, ahead)

    def append(self, tokens: Tensor, stop: bool = True, rows: Tensor | None = None) -> None:
        if self._watchers.want_scores:
            self.scores()
        self._settle()
        if stop and not self._scores.known and not self._stops.ids_only:
            # A strategy that ranks candidates itself has no processed scores; the rules are shown the model's.
            self._scores.set(as_scores(self.logits()))
        if rows is not None:
            chosen: list[bool] = rows.tolist()
            self._rows.activate([row for row in self._rows.active if chosen[row]])
        self._record(tokens, stop)

    def finish(self, rows: Tensor, reason: str) -> None:
        for row in rows.nonzero().flatten().tolist():  # (R,) -> (F, 1) -> (F,)
            self._rows.finish(row, reason)
        if not self._rectangle:
            self._rows.activate(self._rows.growing)

    def fail(self, rows: Tensor, values: Tensor) -> None:
        if self._on_bad_row == "error":
            chosen = rows.nonzero().flatten().tolist()  # (R,) -> (F, 1) -> (F,)
            bad = bad_rows(self.process(values)).tolist()
            self._blame(next((row for row in chosen if bad[row]), chosen[0]), self.logits(), values)
        self.finish(rows, "error")

    # -- rows -------------------------------------------------------------------------------------------------

    def select(self, rows: Tensor) -> None:
        """Raises `CannotFollow` for a step that keeps state and cannot be reordered."""
        self._check_followers("reordered", "select")
        rows = rows.to(self._history.tokens.device)
        host_rows: list[int] = rows.tolist()
        if host_rows == self._rows.everyone:
            return
        self._history.select(rows, host_rows)
        self._feed.select(rows, host_rows)
        copies = torch.tensor(earlier_copies(host_rows), device=rows.device)
        self.rng.select(rows, copies, self._history.steps)
        self._limits = self._limits.index_select(0, rows)
        self._plan.select(rows, host_rows)
        self._stops.select(rows, host_rows)
        if self._told:
            self._strategy.select(rows)
        self._watchers.select(rows)
        self._rows.select(host_rows)
        self._raw.select(rows)
        self._scores.select(rows)
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
                self._rows.reopen(row, self._history.host_lengths[row])
        self._forget()

    # -- several tokens in one forward ------------------------------------------------------------------------

    @torch.no_grad()
    def verify(self, drafts: Tensor, widths: Tensor | None = None) -> Tensor:
        """Raises `CannotFollow` for a step that cannot take tokens back, `InvalidInput` for drafts beyond `room`."""
        rows = self._rows.unfinished
        drafts = checked_ids(drafts, len(self._rows), self._history.tokens.device)
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
        self._forget()
        self._drafts = verified(self._history, self._feed, self._plan, self._rows, drafts, host_widths)
        # (K + 1) x (R, V) -> (R, K + 1, V)
        return torch.stack(self._drafts.scores, dim=1)

    def accept(self, counts: Tensor, following: Tensor) -> None:
        """Raises `BadRow` at the position whose scores are bad, `InvalidInput` where nothing was verified."""
        verified, self._drafts = self._drafts, None
        if verified is None:
            raise InvalidInput(
                "nothing was verified since the rows last changed", remedy="call run.verify first"
            )
        host_counts: list[int] = counts.tolist()
        if any(not 0 <= host_counts[row] <= verified.tokens.shape[1] for row in self._rows.unfinished):
            raise InvalidInput(f"counts {host_counts} of {verified.tokens.shape[1]} verified drafts")
        following = checked_tokens(following, verified.scores[0], type(self._strategy).__name__)
        last = counts.to(following.device)
        tokens = torch.cat((verified.tokens, following.unsqueeze(1)), dim=1)  # (R, K) + (R, 1) -> (R, K + 1)
        lengths = self._history.host_lengths
        self._feed.keep([length + count for length, count in zip(lengths, host_counts, strict=True)])
        for place, processed in enumerate(verified.scores):
            rows = [row for row in self._rows.unfinished if place <= host_counts[row]]
            if not rows:
                break
            self._rows.activate(rows)
            raw = verified.raw[:, min(place, verified.raw.shape[1] - 1)]
            self._raw.set(raw)
            scores = self._checked(raw, processed)
            self._scores.set(scores)
            self._watchers.scores(as_scores(raw), scores, self._rows.growing_mask)
            if self._watchers.want_steps:  # nothing was shown of drafts that might not stay
                self.process(raw)
            self._record(torch.where(last == place, following, tokens[:, place]))

    # -- candidates and hypotheses ----------------------------------------------------------------------------

    def stops(self, rows: Tensor, tokens: Tensor) -> list[str | None]:
        host_rows: list[int] = rows.tolist()
        history = self._history
        if self._stops.plain:
            lengths_then = [history.host_lengths[row] + 1 for row in host_rows]
            prompts = [history.host_prompt_lengths[row] for row in host_rows]
            return self._stops.of_tokens(tokens.tolist(), lengths_then, prompts)
        lengths, prompt_lengths = history.lengths[rows] + 1, history.prompt_lengths[rows]
        host_lengths = [history.host_lengths[row] + 1 for row in host_rows]
        ids = history.with_candidates(rows, tokens)
        view = View(ids, lengths, prompt_lengths, host_lengths, range(len(host_rows)))
        shown = (
            None if self._stops.ids_only else self._scores.get() if self._scores.known else self._raw.get()
        )
        return self._stops.ask_of(view, host_rows, tokens, shown)

    def emit(self, prompt: int, tokens: Sequence[int], score: float, reason: str) -> None:
        self.emitted.append(Hypothesis(prompt, tuple(tokens), score, reason))

    # -- inside and beside the model --------------------------------------------------------------------------

    def hidden(self, layers: Sequence[int], newest: int | None = None) -> Tensor:
        self._feed.watch(layers)
        if self._rows.unfinished:
            if not self._feed.is_open:
                self._raw.set(None)  # known from a session that is gone, with what its layers gave
            self.logits()
        return self._feed.hidden(newest)

    def head(self, states: Tensor) -> Tensor:
        return self._feed.head(states)

    def open(
        self, role: str, prompts: Sequence[Sequence[int]] | None = None, processors: bool = False
    ) -> protocols.Run:
        if self._opener is None or (role != "model" and role not in self.roles):
            raise InvalidInput(
                f"there is no model for the role {role!r}", remedy=f"Decoder(..., models={{{role!r}: model}})"
            )
        history = self._history
        if prompts is None:
            given = self.role_prompts.get(role)
            prompts = None if given is None else [given[row] for row in self._rows.lineage]
        if prompts is None:
            ends = zip(self.padding.tolist(), history.host_lengths, strict=True)
            prompts = [history.tokens[row, begin:end].tolist() for row, (begin, end) in enumerate(ends)]
        return self._opener(self, role, prompts, processors)

    # -- under the face ---------------------------------------------------------------------------------------

    def _settle(self) -> None:
        """Know which rows are due: in lockstep that comes with the logits."""
        if self._lockstep:
            self.logits()
        elif not self._raw.known:
            self._rows.activate(self._rows.everyone if self._rectangle else self._rows.unfinished)

    def _record(self, tokens: Tensor, stop: bool = True) -> None:
        """One token (R,) in every active row; with `stop` the stop rules are asked."""
        history, rows = self._history, self._rows
        if tokens.device != history.tokens.device:
            tokens = tokens.to(history.tokens.device)
        if self._pads_finished and any(rows.reasons):
            tokens = tokens.masked_fill(rows.finished_mask(), history.pad)
        host_tokens: list[int] | None = tokens.tolist() if tokens.device.type == "cpu" else None
        history.write(tokens, rows.mask, rows.active, host_tokens)
        self._follow(tokens, stop, host_tokens)

    def _follow(self, tokens: Tensor, stop: bool = True, host_tokens: list[int] | None = None) -> None:
        """What comes of tokens (R,) that are in the history: steps and observers are told, rows end."""
        history, rows = self._history, self._rows
        self._plan.observe(tokens, rows.mask)
        self._stops.observe(tokens, rows.mask)
        if self._told:
            self._strategy.observe(tokens, rows.mask)
        growing = rows.growing
        for row in growing:
            rows.ends[row] = history.host_lengths[row]
        if stop:
            reasons = self._why_ended(tokens, host_tokens)
            for row in growing:
                rows.reasons[row] = reasons[row]
        self._watchers.tokens(tokens, lambda: rows.mask_of(growing), rows.reasons)
        self._forget()

    def _forget(self) -> None:
        """What was due is used up."""
        self._raw.set(None)
        self._scores.set(None)
        self._drafts = None

    def _why_ended(self, tokens: Tensor, host_tokens: list[int] | None) -> list[str | None]:
        """What the stop rules say of each row, whose newest token (R,) is in the history."""
        history = self._history
        if self._stops.plain:
            newest = tokens.tolist() if host_tokens is None else host_tokens
            return self._stops.of_tokens(newest, history.host_lengths, history.host_prompt_lengths)
        shown = self._scores.get()
        return self._stops.ask(self._view(), self._no_scores() if shown is None else shown)

    def _take_back(self, counts: Tensor, host_counts: list[int]) -> None:
        """(R,) int64, and the same on the host: out of the history and the steps."""
        self._history.rewind(counts, host_counts)
        self._plan.rewind(counts)
        self._stops.rewind(counts)

    def _blame(self, row: int, raw: Tensor, values: Tensor | None) -> NoReturn:
        """Raise `BadRow` for this row: `raw` (R, V) the model gave, `values` (R, V) the strategy made of it."""
        processor, what = self._plan.blame(self._view(), raw, row, values, type(self._strategy).__name__)
        raise BadRow(self._rows.lineage[row], int(self._history.steps[row]), processor, what)

    def _checked(self, raw: Tensor, scores: Tensor, values: Tensor | None = None) -> Tensor:
        """Name the first bad row, or end it alone. The row's scores become zeros, so that the others' draw is as it
        would have been. `values` (R, V) went into the processors, `raw` where there are none."""
        bad = bad_rows(scores).tolist()
        for row in self._rows.active:
            if not bad[row] or self._rows.reasons[row] is not None:
                continue
            if self._on_bad_row == "error":
                self._blame(row, raw, values)
            self._rows.reasons[row] = "error"
        if any(bad):
            scores = scores.masked_fill(
                torch.tensor(bad, device=scores.device).unsqueeze(1), 0.0
            )  # (R,) -> (R, 1)
            if not self._rectangle:
                self._rows.activate([row for row in self._rows.active if not bad[row]])
        return scores
