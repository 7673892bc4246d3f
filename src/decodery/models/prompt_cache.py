"""A text that goes on where the last one ended: the session of the last call is kept, and the next call feeds it only
what its prompt has beyond their common beginning."""

from __future__ import annotations

import threading
from typing import Any

import torch
from torch import Tensor

from ..contracts.errors import ModelError
from ..contracts.protocols import DecodableModel, ModelFacts, Session

GROWTH = 2
"""A session is opened for so many times the length that is asked for, so that a text that grows keeps it."""


class CachingModel:
    """A model that keeps the session of the last text of one row. What two texts share is fed once, where the session
    can take back what they do not."""

    def __init__(self, model: DecodableModel) -> None:
        self.model = model
        self._kept: Kept | None = None
        self._lock = threading.Lock()

    @property
    def facts(self) -> ModelFacts:
        return self.model.facts

    def __getattr__(self, name: str) -> Any:
        # What a model may have beside the protocol: its `head`.
        if name.startswith("_") or name == "model":
            raise AttributeError(name)
        return getattr(self.model, name)

    def open(self, batch_size: int, length: int | None) -> Session:
        """A session that may be kept, for one row; any other is the model's own."""
        return CachingSession(self, length) if batch_size == 1 else self.model.open(batch_size, length)

    def take(self) -> Kept | None:
        """What is kept; nobody else has it then."""
        with self._lock:
            kept, self._kept = self._kept, None
        return kept

    def keep(self, kept: Kept | None) -> None:
        """In the place of what was kept before; None gives that back."""
        with self._lock:
            kept, self._kept = self._kept, kept
        if kept is not None:
            kept.session.close()


class Kept:
    """A session, the ids (T,) that it was fed, and the length that it was opened for."""

    def __init__(self, session: Session, ids: Tensor, room: int | None) -> None:
        self.session, self.ids, self.room = session, ids, room


class CachingSession:
    """One row. The inner session is a kept one or, where that is of no use, a new one."""

    def __init__(self, owner: CachingModel, length: int | None) -> None:
        self._owner, self._length = owner, length
        self._inner: Any = None
        self._room: int | None = None
        self._fed: list[Tensor] = []  # (T,) each, what the inner session was fed
        self._keeps = True  # nothing has happened that another text could not go on from
        self._watched: Any = None

    def __getattr__(self, name: str) -> Any:
        # What a session may have beside the protocol, of the inner one once there is one.
        if name.startswith("_") or self._inner is None:
            raise AttributeError(name)
        return getattr(self._inner, name)

    def prefill(self, input_ids: Tensor, attention_mask: Tensor | None = None, **model_inputs: Any) -> Tensor:
        """(1, T) int64 -> (1, V)."""
        plain = attention_mask is None and not model_inputs and self._watched is None
        self._keeps = plain
        gone_on = self._gone_on(input_ids) if plain else None
        if gone_on is not None:
            return gone_on
        self._room, most = self._length, self._owner.facts.max_length
        if plain and self._length is not None:
            self._room = min(GROWTH * self._length, most or GROWTH * self._length)
        self._inner = self._owner.model.open(1, self._room)
        if self._watched is not None:
            self._inner.watch(self._watched)
        mask: dict[str, Tensor] = {} if attention_mask is None else {"attention_mask": attention_mask}
        logits: Tensor = self._noted(input_ids, self._inner.prefill, **mask, **model_inputs)
        return logits

    def step(self, tokens: Tensor) -> Tensor:
        """(1, K) int64 -> (1, K, V)."""
        logits: Tensor = self._noted(tokens, self._inner.step)
        return logits

    def step_last(self, tokens: Tensor) -> Tensor:
        """(1, K) int64 -> (1, V)."""
        last = getattr(self._inner, "step_last", None)
        return self.step(tokens)[:, -1] if last is None else self._noted(tokens, last)

    def ticked(self, tokens: Tensor) -> None:
        """See `StaticSession`."""
        self._noted(tokens, self._inner.ticked)

    def select(self, rows: Tensor) -> None:
        """(B',) int64. Of several rows none is kept."""
        self._keeps = self._keeps and len(rows) == 1
        self._inner.select(rows)

    def rewind(self, counts: Tensor) -> None:
        """(B,) int64."""
        count = int(counts.max()) if len(counts) else 0
        fed = torch.cat(self._fed) if self._fed else None
        self._inner.rewind(counts)
        if fed is not None:
            self._fed = [fed[: len(fed) - count]]

    def watch(self, layers: Any) -> None:
        """Every column's states are wanted, so every column is fed."""
        self._watched = layers

    def close(self) -> None:
        """The inner session waits for the next text."""
        inner, self._inner = self._inner, None
        if inner is None:
            return
        if self._keeps and self._fed:
            if hasattr(inner, "spare"):
                inner.spare()
            self._owner.keep(Kept(inner, torch.cat(self._fed), self._room))
        else:
            inner.close()

    # -- inside -----------------------------------------------------------------------------------------------

    def _gone_on(self, ids: Tensor) -> Tensor | None:
        """(1, T) int64 -> (1, V) by the kept session, None where it is of no use."""
        kept = self._owner.take()
        if kept is None:
            return None
        fits = kept.room is None or (self._length is not None and self._length <= kept.room)
        # At least one token is fed, whose logits are asked for.
        common = min(_common(kept.ids, ids[0]), ids.shape[1] - 1)
        surplus = len(kept.ids) - common
        if fits and common and (not surplus or self._owner.facts.capabilities.rewind != "none"):
            self._inner, self._room, self._fed = kept.session, kept.room, [kept.ids[:common]]
            try:
                if surplus:
                    self._inner.rewind(torch.tensor([surplus], device=ids.device))
                return self.step_last(ids[:, common:])
            except ModelError:  # another text may have taken the model's one cache meanwhile
                self._inner, self._fed, self._keeps = None, [], True
        kept.session.close()
        return None

    def _noted(self, tokens: Tensor, call: Any, **inputs: Any) -> Any:
        """What `call` gives for tokens (B, K). What a call leaves that was broken off, nobody knows."""
        keeps, self._keeps = self._keeps, False
        answer = call(tokens, **inputs)
        self._keeps = keeps
        if keeps:
            self._fed.append(tokens[0].clone())  # it is a view of a history that goes on
        return answer


def _common(ours: Tensor, theirs: Tensor) -> int:
    """(T,) and (T',) int64 -> how many ids they begin with alike."""
    length = min(len(ours), len(theirs))
    unlike = (ours[:length].cpu() != theirs[:length].cpu()).nonzero()
    return int(unlike[0]) if len(unlike) else length
