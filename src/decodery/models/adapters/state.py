"""Models whose state goes in as an argument and comes out with the logits, or is written in place."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ...contracts.errors import ModelError
from ...contracts.protocols import Options
from ..calling import Call, Form, call_of, name_of, read_call
from ..forward import Forward
from ..keeping.module import left_as_found
from ..options import check_options
from ..probing.learn import PRIMES, learn
from ..probing.verify import (
    Truth,
    chunks_hold,
    difference,
    fed,
    newest_difference,
    rewind_holds,
    rows_are_alone,
    rows_follow,
    truth_of,
)
from ..state.first import first_states
from ..state.names import flags_of, state_argument
from ..state.thread import Out, Thread, outs_of
from .cached import CachedModel
from .state_session import StateSession

FORMS: tuple[tuple[bool, Form], ...] = ((False, "batch"), (True, "batch"), (True, "column"))
"""(one token a call?, how ids go in), in the order tried."""
OWN = ("state", "state_in", "state_out", "verify", "one_token")
"""Options: what makes a first state, the argument that takes it, where the answer has it; trust it; one a call."""
POSITION = ("start_pos", "past_length", "seqlen_offset", "offset", "position", "pos")
UNSURE = ("offset", "position", "pos")


def probe(model: object, options: Options) -> str | None:
    """A callable with an argument that is named like a state, or a state that the user makes."""
    if not callable(model) or inspect.isclass(model):
        return None
    call = read_call(model)
    argument = state_argument(call, options)
    if not argument:
        return None
    return f"{name_of(model)}{call.shown} takes {argument}"


class Unbegun(ModelError):
    """There is an argument for a state, and no first state that the model takes."""

    SAY = "say what makes the first one: "


class StateModel(CachedModel):
    """The state is in the session, so that sessions live side by side.

    How it goes in and comes out is tried: the first way whose steps are those of the whole context is kept. Raises
    `ModelError` when none is.
    """

    adapter = "state"

    def __init__(
        self,
        model: Callable[..., Any],
        options: Options,
        *,
        rows: int = 2,
        forms: tuple[tuple[bool, Form], ...] = FORMS,
    ) -> None:
        check_options(options, self.adapter, OWN)
        self.tried_rows, self.forms = rows, forms
        super().__init__(self.entry(model), options)
        self.whole_call: Call = call_of(model, options)
        self.whole_model = model
        self.options = options
        argument = self.argument()
        if not argument:
            raise ModelError(
                f"{name_of(model)}{self.call.shown} has no argument that is named like a state",
                remedy="say which: adapter={'name': 'state', 'state_in': ..., 'state': lambda batch: ...}",
            )
        self.thread = Thread(argument, lambda batch, length: None)
        with left_as_found(self.module):
            self._find(argument)

    def argument(self) -> str:
        """What takes the state, by name."""
        return state_argument(self.call, self.options)

    def entry(self, model: Callable[..., Any]) -> Callable[..., Any]:
        """What is called with ids and state: the model."""
        return model

    @property
    def evidence(self) -> str:
        return str(self.thread)

    def open(self, batch_size: int, length: int | None) -> StateSession:
        """A session with a state of its own. Raises `ModelError` when none can be made."""
        return StateSession(self, batch_size, length)

    # -- finding out -------------------------------------------------------------------------------------------

    def _find(self, argument: str) -> None:
        plain = self._plain()
        best: tuple[float, str] | None = None
        error: ModelError | None = None
        for start in self._starts(argument):
            self._use(start)
            try:
                self.settle_vocabulary(self.options, self._asked_vocab_size)
                output = self._first_answer()
            except ModelError as failure:
                error = error or failure
                continue
            for thread in self._ways(start, output):
                self._use(thread)
                try:
                    truth = self._truth(plain)
                    gap = difference(self.open, truth, thread.single)
                except ModelError as failure:
                    error = error or failure
                    continue
                if gap <= truth.allowed and (wrong := self._wrong(truth)):
                    best = best or (float("inf"), wrong)
                    continue
                if gap <= truth.allowed or not self.options.get("verify", True):
                    self._keep(truth, gap)
                    return
                best = min(best or (gap, str(thread)), (gap, str(thread)))
        if best is None:
            # The model fails on every first state that was tried, or answers without one.
            raise Unbegun(
                error.message
                if error is not None
                else f"{name_of(self.model)} takes {argument}, and gives nothing back without one",
                remedy=Unbegun.SAY + "adapter={'state': lambda batch: MyCache(batch)}",
            ) from error
        raise ModelError(
            f"{name_of(self.whole_model)} takes {argument}, but steps with it are not those of the whole context: "
            + (
                best[1]
                if best[0] == float("inf")
                else f"log-probabilities differ by {best[0]:.3g} ({best[1]})"
            ),
            remedy="say how: adapter={'name': 'state', 'state_in': ..., 'state_out': ..., 'state': lambda batch: "
            "...}; adapter='stateless' needs no state",
        )

    def _use(self, thread: Thread) -> None:
        self.thread, self.single = thread, thread.single
        self.call = replace(self.call, form=thread.form, time_first=thread.time_first)

    def _starts(self, argument: str) -> Iterator[Thread]:
        """Flags, first states and orientations, without knowing an answer yet."""
        told, flags = self.options, flags_of(self.call)
        position = next((name for name in POSITION if name in self.call.accepts), "")
        # "pos" may be anything, so it is left out first.
        positions = dict.fromkeys(("", position) if position in UNSURE else (position, ""))
        strong = [name for name in flags if "hidden" not in name]
        sets = [strong, flags, *([name] for name in flags), []]
        unique = [dict.fromkeys(names, True) for n, names in enumerate(sets) if names not in sets[:n]]
        turned = (bool(told["time_first"]),) if "time_first" in told else (False, True)
        for time_first in turned:
            for given in unique:
                for words, make in first_states(self.whole_model, argument, self.call, told.get("state")):
                    for place in positions:
                        begun = Thread(argument, make, words, flags=given, time_first=time_first)
                        yield replace(begun, position=place)

    def _first_answer(self) -> object:
        """The answer to a few tokens at once, or else to one."""
        error: ModelError | None = None
        for single, form in self.forms:
            if self.options.get("one_token") and not single:
                continue
            self._use(replace(self.thread, single=single, form=form))
            session = self.open(self.tried_rows, 8)
            try:
                ids = torch.zeros(self.tried_rows, 1 if single else 4, dtype=torch.long)
                session.found(ids, session.answer(ids, 0))
                return session.answer(ids, 0)
            except ModelError as failure:
                error = error or failure
            finally:
                session.close()
        raise error or ModelError("nothing was tried")

    def _ways(self, start: Thread, output: object) -> Iterator[Thread]:
        """Where the state is in the answer, and whether new tokens or all are wanted."""
        found = replace(self.thread, out=Out("same"))
        had = start.first(self.tried_rows, 8) is not None
        for out in outs_of(output, self.options.get("state_out"), had):
            for prefix in (False,) if found.single else (False, True):
                yield replace(found, out=out, prefix=prefix)

    def _truth(self, plain: Callable[[Tensor], Tensor] | None) -> Truth:
        facts = self._facts
        return truth_of(
            self.open,
            facts.vocab_size,
            facts.max_length,
            plain,
            rows=self.tried_rows,
            single=self.single,
            window=self.window,
            dtype=facts.dtype,
        )

    def _wrong(self, truth: Truth) -> str:
        """What a comparison of steps with the whole text cannot show, "" if nothing is wrong."""
        if not rows_are_alone(self.open, truth, self.single):
            return "rows are mixed"
        return "the state is not looked at" if self.thread.prefix and not self._listens(truth) else ""

    def _listens(self, truth: Truth) -> bool:
        """A state of other tokens makes a difference to a model that is passed all ids again."""
        session = self.open(truth.ids.shape[0], truth.compared)
        try:
            session.advance(truth.ids[:, : truth.first], 1)
            session.forge(truth.ids[:, : truth.first].flip(0))
            forged = session.advance(truth.ids[:, truth.first : truth.first + 1], 1)
            other = torch.cat(
                [truth.ids[:, : truth.first].flip(0), truth.ids[:, truth.first : truth.first + 1]], dim=1
            )
            return newest_difference(forged, fed(self.open, other, [other.shape[1]])) > truth.allowed
        finally:
            session.close()

    def _keep(self, truth: Truth, gap: float) -> None:
        size = self._facts.vocab_size
        self.difference, self.compared = gap, truth.compared if truth.plain or not self.single else 0
        self.chunks = not self.single and not self.thread.prefix and chunks_hold(self.open, truth)
        if self.thread.prefix and chunks_hold(self.open, truth):
            self.chunks = True
        batches = PRIMES if self.tried_rows > 1 else (1,)
        self.handling = learn(self.open, size, batches, single=self.single, every=True)
        by = self.handling.rewinds_by
        holds = bool(by) and rewind_holds(self.open, truth, self.single)
        self.adopt(select=False, rewinds="replay")
        select = bool(self.handling.rows) and rows_follow(self.open, truth, self.single)
        self.adopt(select=select, rewinds=by if holds else "replay")

    def _plain(self) -> Callable[[Tensor], Tensor] | None:
        """The model called with ids alone, if it can be."""

        def ask(ids: Tensor) -> Tensor:
            # In the form that is tried: the other orientation is another text.
            form = self.call.form if self.call.form in ("row", "list") else "batch"
            call = replace(self.whole_call, form=form, time_first=self.call.time_first)
            forward = Forward(self.whole_model, call, self.evaluation, self._facts.device, self.width)
            try:
                return forward.logits(ids, ids.shape[1], {})
            finally:
                forward.close()

        for time_first in (False, True):
            for _, form in self.forms:
                self.call = replace(self.call, form=form, time_first=time_first)
                try:
                    ask(torch.zeros(self.tried_rows, 3, dtype=torch.long))
                except ModelError:
                    continue
                return ask
        return None

    def _asked_vocab_size(self) -> int:
        session = self.open(1, 8)
        try:
            ids = torch.zeros(1, 1, dtype=torch.long)
            return session.found(ids, session.answer(ids, 0)).shape[-1]
        finally:
            session.close()
