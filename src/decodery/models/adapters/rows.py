"""Models of one row: a session each. They take (1, T), (T,), a list or a number, and may answer with (V,)."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor

from ...contracts.errors import DecoderyError, ModelError
from ...contracts.protocols import Capabilities, ModelFacts, Options, Session
from ..calling import Form, name_of, read_call
from ..forward import refuse_mask
from ..state.names import state_argument
from .input_pos import InputPosModel
from .input_pos import probe as takes_positions
from .state import StateModel
from .stateless import StatelessModel
from .step import StepModel
from .step import probe as has_step

WHOLE: tuple[Form, ...] = ("batch", "row", "list")
STEPS: tuple[tuple[bool, Form], ...] = (
    *((False, form) for form in WHOLE),
    *((True, form) for form in WHOLE),
    (True, "number"),
)


class Inner(Protocol):
    """What drives one row."""

    @property
    def facts(self) -> ModelFacts: ...

    def open(self, batch_size: int, length: int | None) -> Any: ...


def probe(model: object, options: Options) -> str | None:
    """Anything that can be called, when no other adapter could drive two rows of it."""
    if not callable(model) or inspect.isclass(model):
        return None
    return f"{name_of(model)}{read_call(model).shown} can be called with one row"


class RowsModel:
    """Opens a session a row on whatever drives one row of the model: a state, a step, positions, or ids alone.

    Options: those of the adapter that drives a row. Raises `ModelError` when nothing drives even one.
    """

    def __init__(self, model: Callable[..., Any], options: Options) -> None:
        self.model = model
        self.inner, self.how = _driver(model, options)
        # A cache in the model is one row's at a time: the others are fed again, every time.
        self.shared = isinstance(self.inner, InputPosModel)
        self.difference = getattr(self.inner, "difference", None)
        self.compared = getattr(self.inner, "compared", 0)
        by = "replay" if self.shared else self.inner.facts.capabilities.rewind_by or "crop"
        can = Capabilities(select=True, rewind="ragged", rewind_by=by)
        self._facts = replace(self.inner.facts, capabilities=can)

    @property
    def evidence(self) -> str:
        return f"rows are decoded one by one, each by {self.how}"

    @property
    def facts(self) -> ModelFacts:
        return self._facts

    def open(self, batch_size: int, length: int | None) -> RowsSession:
        return RowsSession(self, batch_size, length)


class RowsSession:
    """A session for each row, or, where they share one cache, the ids of all and one session at a time."""

    def __init__(self, owner: RowsModel, batch_size: int, length: int | None) -> None:
        self._owner, self._length = owner, length
        self._inputs: dict[str, Any] = {}
        self._ids = [torch.zeros(1, 0, dtype=torch.long, device=owner.facts.device)] * batch_size
        self._sessions: list[Any] = [
            self._opened() for _ in range(0 if owner.shared and batch_size > 1 else batch_size)
        ]

    def prefill(self, input_ids: Tensor, attention_mask: Tensor | None = None, **model_inputs: Any) -> Tensor:
        """(B, T) int64 -> (B, V)."""
        refuse_mask(attention_mask, self._owner.model)
        self._inputs = model_inputs
        return self._advanced(input_ids, first=True)[:, -1]

    def step(self, tokens: Tensor) -> Tensor:
        """(B, K) int64 -> (B, K, V)."""
        return self._advanced(tokens, first=False)

    def select(self, rows: Tensor) -> None:
        """(B',) int64. The first that wants a row's session gets it, the others a deep copy."""
        chosen = rows.tolist()
        self._ids = [self._ids[row] for row in chosen]
        if not self._owner.shared:
            old = self._sessions
            first = {row: at for at, row in reversed(list(enumerate(chosen)))}
            self._sessions = [
                old[row] if first[row] == at else old[row].fork() for at, row in enumerate(chosen)
            ]
            for row in set(range(len(old))) - set(chosen):
                old[row].close()
            return
        self.close()
        if len(chosen) == 1:
            self._sessions = [self._opened()]
            self._sessions[0].prefill(self._ids[0], **self._inputs)

    def rewind(self, counts: Tensor) -> None:
        """(B,) int64: each row has its own."""
        for row, count in enumerate(counts.tolist()):
            self._ids[row] = self._ids[row][:, : self._ids[row].shape[1] - count]
            if self._sessions and count:
                self._sessions[row].rewind(torch.tensor([count]))

    def close(self) -> None:
        for session in self._sessions:
            session.close()
        self._sessions = []

    def _opened(self) -> Session:
        session: Session = self._owner.inner.open(1, self._length)
        return session

    def _advanced(self, ids: Tensor, first: bool) -> Tensor:
        """(B, K) int64 -> (B, K, V); of a first call, (B, 1, V)."""
        answers = []
        for row in range(len(self._ids)):
            tokens = ids[row : row + 1].to(self._ids[row].device)
            if self._sessions:
                session = self._sessions[row]
                given = (
                    session.prefill(tokens, **self._inputs).unsqueeze(1) if first else session.step(tokens)
                )
            else:
                given = self._once(self._ids[row], tokens, first)
            self._ids[row] = torch.cat([self._ids[row], tokens], dim=1)  # (1, T) + (1, K) -> (1, T + K)
            answers.append(given)
        return torch.cat(answers)  # B x (1, K, V) -> (B, K, V)

    def _once(self, before: Tensor, tokens: Tensor, first: bool) -> Tensor:
        """A session for this call alone, fed the row from its start."""
        session: Any = self._opened()
        try:
            if first:
                return session.prefill(tokens, **self._inputs).unsqueeze(1)  # type: ignore[no-any-return]
            session.prefill(before, **self._inputs)
            return session.step(tokens)  # type: ignore[no-any-return]
        finally:
            session.close()


def _driver(model: Callable[..., Any], options: Options) -> tuple[Inner, str]:
    tries: list[tuple[str, Callable[[], Inner]]] = []
    if state_argument(read_call(model), options):
        tries.append(("its state", lambda: StateModel(model, options, rows=1, forms=STEPS)))
    if takes_positions(model, options):
        tries.append(("its positions", lambda: InputPosModel(model, options, rows=1, forms=STEPS)))
    if has_step(model, options):
        tries.append(("its step", lambda: StepModel(model, options, rows=1, forms=STEPS)))
    tries += [("the whole text", partial(StatelessModel, model, options, form=form)) for form in WHOLE]
    error: DecoderyError | None = None
    for how, make in tries:
        try:
            inner = make()
            _answer(inner)
        except DecoderyError as failure:
            error = error or failure
            continue
        return inner, how
    raise error or ModelError(f"{name_of(model)} cannot be called with one row")


def _answer(inner: Inner) -> None:
    session = inner.open(1, 4)
    try:
        session.prefill(torch.zeros(1, 2, dtype=torch.long, device=inner.facts.device))
        session.step(torch.zeros(1, 1, dtype=torch.long, device=inner.facts.device))
    finally:
        session.close()
