"""What one generation consists of, and what a strategy may read of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from ...contracts.errors import CannotFollow
from ...contracts.protocols import ModelFacts, Observer, Run, RunRng, Tokenizer
from ..buffers.feed import Feed
from ..buffers.history import History
from ..io.observers import Watchers
from ..plan.plan import Plan
from ..steps.apply import BoundStep, View
from ..steps.stopping import StopRules
from .beside import RolePrompts
from .hypotheses import Drafts, Hypothesis
from .roster import Roster
from .said import Said
from .values import Values

UNLIMITED = 2**62
Opener = Callable[[Any, str, Sequence[Sequence[int]], bool], Run]
"""(run, role, prompts, processors) -> a run of that role's model beside it."""


class RunState:
    """Session, history, plan, stop rules, random numbers and rows of one generation, and their readings. `Run` adds
    what may be done.

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
        self._rows = Roster(history.host_lengths, history.tokens.device)
        self._limits, self._opener, self.role_prompts = limits, opener, RolePrompts(role_prompts or {})
        self.model, self.tokenizer = model, tokenizer
        self._lockstep, self._rectangle, self._on_bad_row = lockstep, rectangle, on_bad_row
        self._pads_finished = rectangle and stops.know_eos
        # A per-token strategy that keeps something a row is told of them like a processor.
        self._told = hasattr(strategy, "choose") and hasattr(strategy, "observe")
        self._watchers = Watchers(observers)
        # Whoever looks at processed scores must be shown some: then every step is asked.
        self._scores_unseen = stops.ids_only and not (self._watchers.want_scores or self._watchers.want_steps)
        self.emitted: list[Hypothesis] = []
        self._raw, self._scores = Values(), Values()
        self._said: Said | None = None  # where a loop reads the tokens of each step itself
        self._vocab: int | None = None  # how wide the logits are, once some were seen
        self._drafts: Drafts | None = None

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
        return self._rows.finished_mask()

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
        return self._rows.active

    @property
    def reasons(self) -> list[str | None]:
        return self._rows.reasons

    @property
    def lineage(self) -> list[int]:
        return self._rows.lineage

    @property
    def done(self) -> bool:
        return None not in self._rows.reasons

    def generated(self, row: int, since: int = 0) -> list[int]:
        """The new tokens of one row from the `since`-th on, its last one included, nothing after it."""
        begin, end = self._history.host_prompt_lengths[row] + since, self._rows.ends[row]
        said = None if self._said is None else self._said.between(row, begin, end)
        if said is not None:
            return said
        return self._history.tokens[row, begin:end].tolist()

    # -- under the face ---------------------------------------------------------------------------------------

    def _view(self) -> View:
        return View.of(self._history, self._rows.active)

    def _no_scores(self) -> Tensor:
        """(R, 0), for rules that look at ids alone."""
        return torch.empty(len(self._rows), 0, device=self._history.tokens.device)

    def _check_followers(self, what: str, method: str) -> None:
        steps: list[BoundStep] = [*self._plan.processors, *self._stops.rules]
        for step in steps:
            if not step.follows:
                raise CannotFollow(
                    f"{step.name!r} {step.stays}, so rows cannot be {what}",
                    remedy=f"give it {step.lacks}, or add it with stateless=True if it keeps nothing",
                )
        if self._told and not hasattr(self._strategy, method):
            raise CannotFollow(
                f"strategy {type(self._strategy).__name__!r} keeps state and has no {method}, so rows cannot be {what}",
                remedy=f"give it {method}()",
            )
