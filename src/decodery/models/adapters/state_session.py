"""One session of a model whose state goes in and comes out."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ...contracts.errors import ModelError
from ..calling import name_of
from ..state.tree import Leaf, Path, leaves, mapped
from .cached import CachedSession

if TYPE_CHECKING:
    from .state import StateModel


class StateSession(CachedSession):
    """The state is this session's own; rows and tokens are taken of it as the owner found out."""

    def __init__(self, owner: StateModel, batch_size: int, length: int | None) -> None:
        super().__init__(owner, batch_size)
        self._owner, self._length = owner, length or owner.facts.max_length or 1024
        self._forward = owner.forward()
        try:
            self._state = self._begun(batch_size)
        except BaseException:
            self.close()
            raise

    def leaves(self) -> dict[Path, Leaf]:
        return leaves(self._state)

    def take_back(self, count: int) -> None:
        handling = self._owner.handling
        with self._forward.mode():
            self._state = mapped(self._state, lambda path, leaf: handling.without(count, path, leaf))

    def take_rows(self, rows: Tensor) -> None:
        """(B',) int64."""
        handling = self._owner.handling
        with self._forward.mode():
            self._state = mapped(self._state, lambda path, leaf: handling.taking(rows, path, leaf))

    def forge(self, ids: Tensor) -> None:
        """(B, T) int64 in place of what was fed; the state stays."""
        self._ids = ids.to(self._ids.device)

    def fork(self) -> StateSession:
        """Another session that goes on from here: the state is copied deeply."""
        twin = StateSession(self._owner, self.rows, self._length)
        with self._forward.mode():
            twin._state = copy.deepcopy(self._state)
        twin._ids, twin._inputs = self._ids, self._inputs
        return twin

    def answer(self, ids: Tensor, start: int) -> object:
        """What the model returns for ids (B, K) after `start` tokens; the state stays as it was returned."""
        thread = self._owner.thread
        given: dict[str, Any] = dict(thread.flags)
        if self._state is not None or thread.argument in self._owner.call.required:
            given[thread.argument] = self._state
        if thread.position:
            given[thread.position] = start
        return self._forward.run(ids, {**given, **(self._inputs if start == 0 else {})})

    def found(self, ids: Tensor, output: object) -> Tensor:
        """Logits (B, K', V) in an answer."""
        return self._forward.found_in(output, ids.shape[0], ids.shape[1])

    def close(self) -> None:
        self._state = None
        self._forward.close()

    def _feed(self, ids: Tensor, start: int, columns: int) -> Tensor:
        thread = self._owner.thread
        whole = torch.cat([self._ids, ids], dim=1) if thread.prefix else ids  # (B, T) + (B, K) -> (B, T + K)
        before = getattr(self._state, "seqlen_offset", None)
        output = self.answer(whole, start)
        logits = self.found(whole, output)[:, -columns:].clone()
        try:
            self._state = thread.out.taken(output, self._state)
        except (AttributeError, LookupError, TypeError) as error:
            raise ModelError(
                f"{name_of(self._owner.model)} returned no state where one is expected ({thread.out}): {error}",
                remedy="adapter={'name': 'state', 'state_out': ...} says where it is",
            ) from error
        if isinstance(before, int) and getattr(self._state, "seqlen_offset", None) == before:
            self._state.seqlen_offset = before + ids.shape[1]  # type: ignore[attr-defined]  # the caller's duty
        return logits

    def _restart(self, batch_size: int) -> None:
        self._state = self._begun(batch_size)

    def _begun(self, batch_size: int) -> Any:
        with self._forward.mode():
            return self._owner.thread.first(batch_size, self._length)
