"""Feeds a session column by column and says which rows' logits are due.

A session sees rectangles only. Prompts of unequal length become one in two ways: left-padded where the session honours
masks, otherwise in lockstep: the shortest prompt is prefilled and the other rows' next prompt tokens are forced while
the short rows already generate. Lockstep needs nothing of the model and is exact for any of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ...contracts.errors import ModelError
from ...contracts.protocols import DecodableModel, Session
from .history import History


class Feed:
    """One session and what it has been fed. `offsets[r]` is the column at which row r begins. `model_inputs` go with
    every prefill; tensors among them whose first dimension is R follow the rows."""

    def __init__(
        self,
        model: DecodableModel,
        history: History,
        *,
        limit: int | None,
        attention_mask: Tensor | None = None,
        model_inputs: Mapping[str, Any] | None = None,
    ) -> None:
        lengths = history.host_lengths
        self._history = history
        self._mask = attention_mask
        self._inputs = dict(model_inputs or {})
        padded = attention_mask is None and model.facts.capabilities.masks and len(set(lengths)) > 1
        self.offsets = [max(lengths) - length if padded else 0 for length in lengths]
        if padded:
            columns = torch.arange(max(lengths), device=history.tokens.device)
            begin = torch.tensor(self.offsets, device=history.tokens.device).unsqueeze(1)  # (R,) -> (R, 1)
            self._mask = (columns >= begin).long()  # (T,) >= (R, 1) -> (R, T)
        self._model = model
        # A left-padded row needs as many columns more as its padding.
        self._limit = None if limit is None else limit + max(self.offsets)
        self._session: Session | None = (
            None  # opened by the first forward, so that a run never begun holds nothing
        )
        self._fed = 0
        self._logits: Tensor | None = None

    def logits(self, unfinished: Sequence[int]) -> tuple[Tensor, list[int]]:
        """((R, V) raw logits, the rows they are due in). Forwards until at least one unfinished row is due."""
        ends = {row: self._history.host_lengths[row] + self.offsets[row] for row in unfinished}
        target = min(ends.values())
        if target > self._fed or self._logits is None:
            self._logits = self._forward(target)
            self._fed = target
        return self._logits, [row for row, end in ends.items() if end == target]

    def select(self, rows: Tensor, host_rows: Sequence[int]) -> None:
        """(R',) int64, and the same on the host. A session that cannot is opened anew and fed the history again."""
        count = len(self.offsets)
        self._inputs = {
            name: value[rows.to(value.device)] if _goes_with_rows(value, count) else value
            for name, value in self._inputs.items()
        }
        self.offsets = [self.offsets[row] for row in host_rows]
        self._mask = None if self._mask is None else self._mask[rows]
        if self._session is not None and self._model.facts.capabilities.select:
            self._session.select(rows)
            self._logits = None if self._logits is None else self._logits[rows]
        else:
            self.close()

    def rewind(self, host_counts: Sequence[int]) -> None:
        """After tokens were taken back: forget what was fed of them. Rows that were left alone stand ahead of the
        session then, and are fed their surplus again."""
        ends = [
            length + offset
            for length, offset, count in zip(
                self._history.host_lengths, self.offsets, host_counts, strict=True
            )
            if count
        ]
        if not ends or min(ends) >= self._fed:
            return
        # The column before the end is fed once more: its logits are the ones that are due next.
        back = self._fed - (min(ends) - 1)
        if self._session is None or self._model.facts.capabilities.rewind == "none" or back >= self._fed:
            self.close()
            return
        self._session.rewind(torch.full((len(self.offsets),), back, device=self._history.tokens.device))
        self._fed -= back
        self._logits = None

    def close(self) -> None:
        """Give the session back. What is asked for afterwards is fed to a new one from the start."""
        if self._session is not None:
            self._session.close()
        self._session, self._fed, self._logits = None, 0, None

    def _forward(self, target: int) -> Tensor:
        columns = self._history.columns(self._fed, target, self.offsets)
        if self._session is None:
            self._session = self._model.open(len(columns), self._limit)
            inputs: dict[str, Any] = {} if self._mask is None else {"attention_mask": self._padded_to(target)}
            logits = self._session.prefill(columns, **inputs, **self._inputs)
        else:
            last = getattr(self._session, "step_last", None)
            logits = last(columns) if last is not None else self._session.step(columns)[:, -1]  # -> (R, V)
        if logits.ndim != 2 or len(logits) != len(columns):
            raise ModelError(
                f"the session answered with shape {tuple(logits.shape)} for {len(columns)} rows",
                remedy="a session's logits are (rows, vocabulary)",
            )
        return logits

    def _padded_to(self, width: int) -> Tensor | None:
        """The mask (R, T), ones added for tokens that a second feeding brings with the prompt."""
        if self._mask is None or self._mask.shape[1] >= width:
            return self._mask
        return torch.nn.functional.pad(self._mask, (0, width - self._mask.shape[1]), value=1)


def _goes_with_rows(value: Any, count: int) -> bool:
    return isinstance(value, Tensor) and value.ndim > 0 and len(value) == count
