"""Feeds a session column by column and says which rows' logits are due.

A session sees rectangles only. Prompts of unequal length become one in two ways: left-padded where the session honours
masks, otherwise as they are, what a short row lacks at its end being filled up and forgotten again. Two ways to ask:

`logits`  lockstep, for per-token strategies: the shortest row's column is fed and the others' next tokens are forced
          while the short ones already generate. Needs nothing of a model and feeds every column once.
`window`  all rows at once, for strategies that own their loop: up to the longest row's end, each row's logits read at
          its own columns. What was fed beyond a row's end is taken back before the next forward.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor

from ...contracts.errors import ModelError
from ...contracts.protocols import DecodableModel, Session, StaticSession, WatchedSession
from .history import History
from .room import check_room
from .rows import alike_among, take_rows
from .states import States


class Feed:
    """One session and what it has been fed. `offsets[r]` is the column at which row r begins.

    `model_inputs` go with every prefill; tensors among them whose first dimension is R follow the rows. `kinds` (R,)
    int64 lets rows of one kind with the same ids be prefilled once, where the session can repeat rows. `copies` rows
    that stand together share what an encoder reads, once, where the session can repeat that.
    """

    def __init__(
        self,
        model: DecodableModel,
        history: History,
        *,
        limit: int | None,
        attention_mask: Tensor | None = None,
        model_inputs: Mapping[str, Any] | None = None,
        kinds: Tensor | None = None,
        copies: int = 1,
    ) -> None:
        lengths = history.host_lengths
        self._history = history
        self._mask, self._pads_are_text = attention_mask, attention_mask is not None
        self._inputs = dict(model_inputs or {})
        self._can = model.facts.capabilities
        padded = attention_mask is None and self._can.masks and len(set(lengths)) > 1
        self.offsets = [max(lengths) - length if padded else 0 for length in lengths]
        if padded:
            columns = torch.arange(max(lengths), device=history.tokens.device)
            begin = torch.tensor(self.offsets, device=history.tokens.device).unsqueeze(1)  # (R,) -> (R, 1)
            self._mask = (columns >= begin).long()  # (T,) >= (R, 1) -> (R, T)
        self._model, self._kinds = model, kinds if self._can.select else None
        self._copies = copies if model.facts.encoder is not None and model.facts.encoder.repeats else 1
        # A left-padded row needs as many columns more as its padding.
        self._limit = None if limit is None else limit + max(self.offsets)
        self._session: Session | None = (
            None  # opened by the first forward, so that a run never begun holds nothing
        )
        # Columns the session has of each row, and how many of them are that row's own text.
        self._fed, self._good = [0] * len(lengths), [0] * len(lengths)
        self._states: States | None = None  # of layers, where a strategy looks at them
        self._level: int | None = None  # see `_common`; None after whatever moves rows apart

    @property
    def padding(self) -> Tensor:
        """(R,) int64: the pads that begin the rows of the history, none where the pads are the feed's own."""
        if self._mask is None or not self._pads_are_text:
            return torch.zeros_like(self._history.lengths)
        return (self._mask == 0).sum(-1)  # (R, T) -> (R,)

    @property
    def is_open(self) -> bool:
        """Whether a session holds what was fed."""
        return self._session is not None

    def logits(self, unfinished: Sequence[int]) -> tuple[Tensor, list[int]]:
        """((R, V) raw logits, the rows they are due in): lockstep. At least one unfinished row is due."""
        if self.level_with_history:
            return self.next_column(), list(unfinished)
        ends = {row: self._end(row) for row in unfinished}
        target = min(ends.values())
        starts = self._ready([min(self._good[row], target - 1) for row in unfinished], unfinished)
        logits = self._forward(starts, target - min(starts), 1)
        self._level = self._common()
        return logits[:, -1], [row for row, end in ends.items() if end == target]  # (R, 1, V) -> (R, V)

    @property
    def level_with_history(self) -> bool:
        """Whether a single column more is due, the same in all rows: nearly every step."""
        return self._level is not None and self._history.level == self._level + 1

    def next_column(self) -> Tensor:
        """What `logits` comes to then: one column more of all rows -> (R, V)."""
        start = self._fed[0]
        columns = self._history.tokens.narrow(1, start, 1)  # (R, C) -> (R, 1)
        session: Any = self._session
        last = getattr(session, "step_last", None)
        logits: Tensor = session.step(columns)[:, -1] if last is None else last(columns)
        rows, self._level = len(self._fed), start + 1
        if logits.ndim != 2 or logits.shape[0] != rows:
            raise _no_logits(logits, columns)
        self._fed, self._good = [start + 1] * rows, [start + 1] * rows
        return logits

    @property
    def in_inference_mode(self) -> bool:
        """Whether the session's steps are in inference mode, of which those who ask outside of it see nothing."""
        return getattr(self._session, "in_inference_mode", False)

    def window(self, unfinished: Sequence[int], counts: Sequence[int]) -> Tensor:
        """(R, K, V) raw logits, K the greatest count: of each unfinished row r, those after its `counts[r]` newest
        tokens; where a row has fewer than K, its last ones stand in for the rest."""
        firsts = {row: self._end(row) - counts[row] for row in unfinished}
        starts = self._ready([min(self._good[row], first) for row, first in firsts.items()], unfinished)
        width = max(self._end(row) - starts[row] for row in unfinished)
        skipped = min(first - starts[row] for row, first in firsts.items())
        logits = self._forward(starts, width, width - skipped)  # (R, width - skipped, V)
        count = max(counts[row] for row in unfinished)
        places = [firsts[row] - starts[row] - skipped if row in firsts else 0 for row in range(len(starts))]
        if not any(places) and logits.shape[1] == count:
            return logits
        at = torch.tensor(places, device=logits.device).unsqueeze(1) + torch.arange(
            count, device=logits.device
        )
        at = at.clamp(max=logits.shape[1] - 1).unsqueeze(-1).expand(-1, -1, logits.shape[-1])  # (R, K, V)
        return logits.gather(1, at)

    def ticking(self, unfinished: Sequence[int]) -> StaticSession | None:
        """The session, where it can tick and a single column is due, the same in all rows; its place is then held."""
        if self._session is None or not self._can.static or self._states is not None:
            return None
        due = {self._end(row) - 1 for row in unfinished} | {self._good[row] for row in unfinished}
        due.update(self._fed)
        if len(due) != 1:
            return None
        session = cast(StaticSession, self._session)
        session.hold_place()
        return session

    def ticked(self, count: int) -> None:
        """So many columns went by without the feed."""
        self._level = None
        if self._session is None or not count:
            return
        first = self._fed[0]
        fed = self._history.columns(first, first + count, self.offsets)
        cast(StaticSession, self._session).ticked(fed)
        self._fed = [column + count for column in self._fed]
        self._good = [min(fed, self._end(row)) for row, fed in enumerate(self._fed)]

    def select(self, rows: Tensor, host_rows: Sequence[int]) -> None:
        """(R',) int64, and the same on the host. A session that cannot is opened anew and fed the history again."""
        self._level = None
        self._check_room(len(host_rows), len(self._fed))
        self._inputs, self._copies = take_rows(self._inputs, rows, len(self.offsets)), 1
        self.offsets = [self.offsets[row] for row in host_rows]
        self._mask = None if self._mask is None else self._mask[rows]
        self._kinds = None if self._kinds is None else self._kinds[rows]
        self._fed = [self._fed[row] for row in host_rows]
        self._good = [self._good[row] for row in host_rows]
        if self._session is None:
            return
        if self._can.select:
            self._session.select(rows)
            if self._states is not None:
                self._states.select(rows)
        else:
            self.close()

    def keep(self, lengths: Sequence[int]) -> None:
        """After tokens were taken back: row r's text is right in its first `lengths[r]` tokens only."""
        self._level = None
        self._good = [
            min(good, length + offset)
            for good, length, offset in zip(self._good, lengths, self.offsets, strict=True)
        ]

    def watch(self, layers: Sequence[int]) -> None:
        """From now on the outputs of these layers are kept. Raises `ModelError` where the session cannot tell them."""
        if self._states is not None and self._states.layers == tuple(layers):
            return
        if not self._can.hidden:
            raise ModelError(
                "this strategy looks at hidden states, and the model's adapter cannot tell them",
                remedy="transformers' models can; other models need an adapter with the capability 'hidden'",
            )
        self.close()
        self._states = States(layers)

    def hidden(self, newest: int | None = None) -> Tensor:
        """(L, R, T, H): of every token that was fed, row by row, right-padded; or of the `newest` alone."""
        if self._states is None or self._session is None:
            raise ModelError("no hidden states were kept", remedy="ask for them before the rows are finished")
        return self._states.of_tokens(self.offsets, self._history.host_lengths, newest)

    def head(self, states: Tensor) -> Tensor:
        """(..., H) -> (..., V)."""
        head = getattr(self._model, "head", None)
        if head is None:
            raise ModelError(
                "the model's adapter does not tell its output layer", remedy="transformers' models can"
            )
        logits: Tensor = head(states)
        return logits

    def close(self) -> None:
        """Give the session back. What is asked for afterwards is fed to a new one from the start."""
        self._level = None
        if self._session is not None:
            self._session.close()
        self._session = None
        if self._states is not None:
            self._states.forget()
        self._fed, self._good = [0] * len(self._fed), [0] * len(self._good)

    # -- inside -----------------------------------------------------------------------------------------------

    def _common(self) -> int | None:
        """The column that all rows have been fed up to, where they all begin at 0 and can take a single one more."""
        fed = self._fed[0]
        level = not any(self.offsets) and self._fed.count(fed) == self._good.count(fed) == len(self._fed)
        return fed if level and self._states is None else None

    def _end(self, row: int) -> int:
        return self._history.host_lengths[row] + self.offsets[row]

    def _ready(self, wanted: Sequence[int], unfinished: Sequence[int]) -> list[int]:
        """Bring the session to where unfinished row i is fed from column `wanted[i]` or earlier -> where each row is.

        One count for all rows unless the session takes back another number in each.
        """
        start = min(wanted)
        goal = [start] * len(self._fed)
        if self._can.rewind == "ragged":
            for row, column in zip(unfinished, wanted, strict=True):
                goal[row] = column
        goal = [min(column, fed) for column, fed in zip(goal, self._fed, strict=True)]
        back = [fed - column for fed, column in zip(self._fed, goal, strict=True)]
        if not any(back):
            return list(self._fed)
        if self._session is None or self._can.rewind == "none" or not all(goal):
            self.close()
            return list(self._fed)
        self._session.rewind(torch.tensor(back, device=self._history.tokens.device))
        self._fed = goal
        return list(goal)

    def _forward(self, starts: Sequence[int], width: int, count: int) -> Tensor:
        """Feed `width` columns to each row from its start on -> (R, count, V), the newest logits."""
        self._level = None
        if len(set(starts)) == 1:
            columns = self._history.columns(starts[0], starts[0] + width, self.offsets)
        else:
            shifted = [offset - start for offset, start in zip(self.offsets, starts, strict=True)]
            columns = self._history.columns(0, width, shifted)
        if self._session is None:
            logits = self._prefilled(columns, count)
        elif count == 1 and hasattr(self._session, "step_last"):
            logits = self._session.step_last(columns).unsqueeze(1)  # (R, V) -> (R, 1, V)
            self._note(starts)
        else:
            logits = self._session.step(columns)[:, -count:]
            self._note(starts)
        if logits.ndim != 3 or len(logits) != len(columns):
            raise _no_logits(logits[:, -1] if logits.ndim > 1 else logits, columns)
        self._fed = [start + width for start in starts]
        self._good = [min(fed, self._end(row)) for row, fed in enumerate(self._fed)]
        return logits

    def _prefilled(self, columns: Tensor, count: int) -> Tensor:
        """(R, T) -> (R, count, V): a session's first answer is its last column, what is due before that comes first."""
        first = columns.shape[1] - count + 1
        begin = columns[:, :first]
        mask = None if self._mask is None else _padded_to(self._mask, first)
        given, alike = self._inputs, None
        if self._kinds is not None:
            parts = (self._kinds.unsqueeze(1), begin, *(() if mask is None else (mask,)))
            alike = alike_among(torch.cat(parts, dim=1))  # (R, 1) + (R, T) ... -> (R, 1 + T ...)
        if alike is not None:
            given = take_rows(given, alike.firsts, len(begin))
            begin, mask = begin[alike.firsts], None if mask is None else mask[alike.firsts]
        elif self._copies > 1:
            given = take_rows(given, torch.arange(0, len(begin), self._copies), len(begin))
        self._check_room(len(columns), len(columns))
        self._session = self._model.open(len(begin), self._limit)
        if self._states is not None:
            cast(WatchedSession, self._session).watch(self._states.layers)
        inputs: Mapping[str, Any] = {} if mask is None else {"attention_mask": mask}
        logits = self._session.prefill(begin, **inputs, **given)
        self._note([0] * len(begin))
        if alike is not None:
            self._check_room(len(columns), len(begin))
            self._session.select(alike.copies)
            if self._states is not None:
                self._states.select(alike.copies)
            logits = logits[alike.copies]
        logits = logits.unsqueeze(1)  # (R, V) -> (R, 1, V)
        if count == 1:
            return logits
        more = self._session.step(columns[:, first:])
        self._note([first] * len(more))
        return torch.cat((logits, more), dim=1)

    def _check_room(self, rows: int, held: int) -> None:
        """Whether `rows` rows can be held, where the session has the state of `held`. Raises `InvalidInput`."""
        facts, has = self._model.facts, getattr(self._session, "held", None)
        state = has() * rows // held if has is not None and rows > held else 0
        check_room(rows, facts.vocab_size, state, facts.device)

    def _note(self, starts: Sequence[int]) -> None:
        """Keep what the session tells of the forward that began at these columns."""
        if self._states is not None and self._session is not None:
            self._states.write(starts, cast(WatchedSession, self._session).hidden())


def _no_logits(answer: Tensor, columns: Tensor) -> ModelError:
    """For an answer to ids (R, K)."""
    return ModelError(
        f"the session answered with shape {tuple(answer.shape)} for {len(columns)} rows",
        remedy="a session's logits are (rows, vocabulary)",
    )


def _padded_to(mask: Tensor, width: int) -> Tensor:
    """The mask (R, T) in `width` columns: ones for tokens that a second feeding brings with the prompt."""
    if mask.shape[1] >= width:
        return mask[:, :width]
    return torch.nn.functional.pad(mask, (0, width - mask.shape[1]), value=1)
