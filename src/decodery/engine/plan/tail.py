"""What of a plan can be fused: its last steps, as edits with their state and a chain of maps and truncations."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import Any, Protocol

import torch
from torch import Tensor

from ...contracts.lowering import Edit, Fixed, Lowered, Map, Mode, Seen, Truncation
from ...kernels.alone import Known
from ...kernels.history import NewestTokens, SeenTokens
from ..steps.apply import View


@dataclass(frozen=True, slots=True)
class Tail:
    """The last steps of a plan that can be fused: `steps[begin:]`; `head` ends with the last edit, `chain` is what
    comes after it, and `chain_begin` the first step of that (None where a step is in both)."""

    begin: int
    head: tuple[Edit | Map, ...]
    chain: tuple[Map | Truncation, ...]
    chain_begin: int | None


LISTED = 256
"""So many tokens are listed at a step for one row."""


class Described(Protocol):
    """A step as the planner sees it."""

    @property
    def lowered(self) -> tuple[Lowered, ...] | None: ...


def find_tail(steps: Sequence[Described]) -> Tail:
    """The longest tail of the form (edit | map)* (map | truncation)*. An edit after a truncation ends it, and so does
    an opaque step: what comes before is dense."""
    parts: list[tuple[int, Any]] = []
    begin, edited = len(steps), False
    for place in range(len(steps) - 1, -1, -1):
        lowered = steps[place].lowered
        if lowered is None:
            break
        seen = edited
        for part in reversed(lowered):
            seen = seen or isinstance(part, Edit)
            if seen and isinstance(part, Truncation):
                break
        else:
            parts[:0] = [(place, part) for part in lowered]
            begin, edited = place, seen
            continue
        break
    last_edit = max((i for i, (_, part) in enumerate(parts) if isinstance(part, Edit)), default=-1)
    head, chain = parts[: last_edit + 1], parts[last_edit + 1 :]
    chain_begin = head[-1][0] + 1 if head else begin
    shared = bool(chain and head and chain[0][0] == head[-1][0])
    return Tail(begin, tuple(p for _, p in head), tuple(p for _, p in chain), None if shared else chain_begin)


class BoundEdit:
    """An edit with its state, in a history of the backend's own where it has one."""

    def __init__(self, part: Edit, prompt_lengths: Tensor, stateless: bool, backend: Any = None) -> None:
        self.mode, source = part.mode, part.source
        self._source: Any = source
        follows, history = getattr(source, "follows", None), getattr(backend, "history", None)
        if follows is not None and history is not None:
            self._source = history(follows)
        if isinstance(source, Seen):
            lasting = source.window is None and not stateless
            self._source = SeenTokens(source, prompt_lengths) if lasting else NewestTokens(source)
        elif isinstance(source, Fixed):
            self._source = _FixedTokens(source)
        self.greatest: int = getattr(self._source, "greatest", -1)
        self._newest = isinstance(self._source, NewestTokens)
        self._keeps = hasattr(self._source, "begin")
        self._begun, self._stateless = False, stateless
        self._looks_up = hasattr(self._source, "of_one")
        self._numbers: Sequence[float] | None = None  # of the last look, and whether they lower
        self._sinks = False
        self._constant = self._source.known(self.mode) if isinstance(self._source, _FixedTokens) else None

    def touched(self, view: View) -> tuple[Tensor, Tensor]:
        """((R, E) or (1, E) ids, values that fit them)."""
        source = self._source
        if self._newest:
            newest: tuple[Tensor, Tensor] = source.edits(view.input_ids, view.lengths, view.prompt_lengths)
            return newest
        if self._keeps and not self._begun:
            if self._stateless:
                source = copy.copy(source)  # one for each call: they may come from several threads
            source.begin(view.input_ids, view.lengths)
            self._begun = not self._stateless
        found: tuple[Tensor, Tensor] = source.edits(view.input_ids, view.lengths)
        return found

    @property
    def looks(self) -> bool:
        """Whether `touched` asks its view for the text, which a plugin's source may do at any time."""
        kept = self._begun and isinstance(self._source, SeenTokens)
        return not kept and self._constant is None

    def clean(self, vocab: int) -> bool:
        """Whether what was touched has neither an empty slot nor an id outside the vocabulary."""
        known = getattr(self._source, "clean", None)
        return known is not None and bool(known(vocab))

    def known(self, view: View) -> Known | None:
        """What it does to the only row, for single tokens to be looked up; None where that means a long list."""
        if self._constant is not None:
            return self._constant
        if self._looks_up:
            if self._keeps and not self._begun:
                self.touched(view)
            tokens, value, numbers = self._source.of_one(view.input_ids, view.lengths)
            if numbers is not self._numbers:
                self._sinks = _lowers(self.mode, numbers)
                self._numbers = numbers if isinstance(numbers, tuple) else None
            return Known(self.mode, tokens, value, self._sinks)
        ids, values = self.touched(view)  # (1, E), (1, E) or (1, 1)
        count = ids.shape[1]
        if count > LISTED:
            return None
        listed: list[float] = values.view(-1).tolist()
        if len(listed) < count:
            listed *= count
        table = dict(zip(ids.view(-1).tolist(), listed, strict=False))
        return Known(self.mode, table, table.__getitem__, _lowers(self.mode, listed))

    def observe(self, tokens: Tensor, active: Tensor) -> None:
        if self._begun:
            self._source.observe(tokens, active)

    def observe_one(self, token: int) -> None:
        """The same for an only row."""
        if isinstance(self._source, SeenTokens):
            if self._begun:
                self._source.observe_one(token)
        else:
            self.observe(torch.tensor([token]), torch.tensor([True]))

    def select(self, rows: Tensor) -> None:
        if self._begun or (not self._keeps and hasattr(self._source, "select")):
            self._source.select(rows)

    def rewind(self, counts: Tensor) -> None:
        if self._begun:
            self._source.rewind(counts)


class _FixedTokens:
    def __init__(self, fixed: Fixed) -> None:
        values = fixed.values if len(fixed.values) > 1 else fixed.values * len(fixed.ids)
        self.greatest = max(fixed.ids, default=-1)
        table = dict(zip(fixed.ids, values, strict=True))
        self._ids = torch.tensor([list(table)], dtype=torch.int64)
        self._values = torch.tensor([list(table.values())], dtype=torch.float32)

    def clean(self, vocab: int) -> bool:
        return self.greatest < vocab

    def edits(self, ids: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        return self._ids, self._values

    def known(self, mode: Mode) -> Known:
        numbers: list[float] = self._values[0].tolist()
        table = dict(zip(self._ids[0].tolist(), numbers, strict=True))
        return Known(mode, table, table.__getitem__, _lowers(mode, numbers))


def _lowers(mode: Mode, numbers: Sequence[float]) -> bool:
    """Whether an edit by these numbers, or whole multiples of them, makes no score greater."""
    if mode == "set":
        return all(number == -inf for number in numbers)
    return max(numbers, default=0.0) <= 0 if mode == "add" else min(numbers, default=1.0) >= 1
