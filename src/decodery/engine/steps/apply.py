"""How a bound step is called: the four ways that keep a row's result free of every other row.

together  one call for all rows: nothing in the step depends on lengths (or `compat: hf`, whose rectangle has none)
ragged    one call, the step is told the lengths
grouped   stateless, but reads the history: one call for each set of rows of equal length
per row   state or per-row facts: an instance a row
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ...contracts.errors import DecoderyError, InvalidInput, PluginError
from ...contracts.lowering import Ending, Lowered
from ..buffers.history import History
from ..rng import StepRng
from .copying import fresh_copy

OF_A_ROW = frozenset(
    {"prompt_lengths", "encoder_ids", "encoder_lengths", "prompt_index", "limits", "padding", "rng"}
)
"""Facts that differ from row to row."""


@dataclass(slots=True)
class View:
    """The history that steps are shown.

    input_ids (R, T) int64, right-padded; lengths, prompt_lengths (R,) int64; `host_lengths` are the same lengths on
    the host; `active` are the rows that generate in this step: the others' results are not used.
    """

    input_ids: Tensor
    lengths: Tensor
    prompt_lengths: Tensor
    host_lengths: Sequence[int]
    active: Sequence[int]

    @classmethod
    def of(cls, history: History, active: Sequence[int]) -> View:
        return cls(history.input_ids, history.lengths, history.prompt_lengths, history.host_lengths, active)

    def groups(self) -> list[tuple[int, list[int]]]:
        """(length, active rows of that length)."""
        found: defaultdict[int, list[int]] = defaultdict(list)
        for row in self.active:
            found[self.host_lengths[row]].append(row)
        return list(found.items())


class BoundStep(ABC):
    """A step built for one run. Calling it gives (R, V) scores for a processor, (R,) bool for a stop rule."""

    def __init__(
        self,
        name: str,
        role: str,
        instances: Sequence[Any],
        *,
        trusted: bool,
        stateless: bool,
        ids_only: bool = False,
        traits: frozenset[str] = frozenset(),
        reason: str = "",
        lowered: tuple[Lowered, ...] | None = None,
        endings: tuple[Ending, ...] | None = None,
    ) -> None:
        self.name, self.role, self.instances = name, role, list(instances)
        self.lowered, self.endings = lowered, endings
        self.trusted, self.stateless, self.ids_only, self.reason = trusted, stateless, ids_only, reason
        self.traits = traits

    @abstractmethod
    def __call__(self, view: View, scores: Tensor) -> Tensor: ...

    def observe(self, tokens: Tensor, active: Tensor) -> None:
        """(R,) int64 new tokens, (R,) bool: which rows got one."""
        for instance in self.instances:
            if hasattr(instance, "observe"):
                instance.observe(tokens, active)

    @property
    def follows(self) -> bool:
        """Whether rows may be reordered or taken back under this step."""
        return self.stateless or not self.lacks

    @property
    def lacks(self) -> str:
        """Which of the methods that let a step follow its rows this one has not: "select and rewind"."""
        *others, last = [m for m in ("observe", "select", "rewind") if not hasattr(self.instances[0], m)] or [
            ""
        ]
        return f"{', '.join(others)} and {last}" if others else last

    @property
    def stays(self) -> str:
        """Why it does not follow. Of an object that observes nothing nobody knows whether it keeps anything."""
        keeps = "keeps" if hasattr(self.instances[0], "observe") else "may keep"
        return f"{keeps} state and has no {self.lacks}"

    def select(self, rows: Tensor, host_rows: Sequence[int]) -> None:
        """(R',) int64, and the same on the host."""
        for instance in self.instances:
            if hasattr(instance, "select"):
                instance.select(rows)

    def rewind(self, counts: Tensor) -> None:
        """(R,) int64."""
        for instance in self.instances:
            if hasattr(instance, "rewind"):
                instance.rewind(counts)

    def of_candidates(self, rows: Sequence[int], tokens: Tensor) -> BoundStep:
        """The step as it would be after row `rows[i]` had got `tokens[i]`, for each i; this one stays as it is.

        tokens (C,) int64.
        """
        if not any(hasattr(instance, "observe") for instance in self.instances):
            return self
        twin = copy.copy(self)
        twin.instances = [fresh_copy(instance) for instance in self.instances]
        twin.select(torch.tensor(rows, device=tokens.device), rows)
        twin.observe(tokens, torch.ones_like(tokens, dtype=torch.bool))
        return twin

    def _call(self, instance: Callable[..., Any], ids: Tensor, scores: Tensor, **facts: Tensor) -> Tensor:
        """One call, its answer checked: a processor's shape, a stop rule's `True` made (R,)."""
        # What does not come in the box may edit its arguments in place; the caller's and the run's stay as they were.
        if not self.trusted:
            facts = {name: fact.clone() for name, fact in facts.items()}
        try:
            result = (
                instance(ids, scores, **facts)
                if self.trusted
                else instance(ids.clone(), scores.clone(), **facts)
            )
        except (DecoderyError, torch.cuda.OutOfMemoryError):
            raise
        except Exception as error:
            if ids.device != scores.device:  # in a caller's own loop
                raise InvalidInput(
                    f"input_ids are on {ids.device} and logits on {scores.device}, and {self.role} {self.name!r} needs "
                    "both",
                    remedy="pick(input_ids.to(logits.device), logits)",
                ) from error
            raise PluginError(
                f"{self.role} {self.name!r} failed on ids {tuple(ids.shape)}, scores {tuple(scores.shape)}: "
                f"{type(error).__name__}: {error}",
                remedy="it is called (input_ids, scores), both tensors",
            ) from error
        return self._truths(result, scores) if self.role == "stop" else self._scores(result, scores)

    def _truths(self, result: Any, scores: Tensor) -> Tensor:
        """A stop rule's answer as (R,) bool: one truth for all rows, or one a row."""
        rows = len(scores)
        if isinstance(result, (bool, int)):
            return torch.full((rows,), bool(result), device=scores.device)
        try:
            answer = torch.as_tensor(result, device=scores.device).bool()
            return answer.expand(rows) if answer.ndim < 2 and answer.numel() == 1 else answer.reshape(rows)
        except (TypeError, ValueError, RuntimeError):
            shape = str(tuple(result.shape)) if isinstance(result, Tensor) else repr(result)
            raise PluginError(
                f"stop rule {self.name!r} answered {shape:.80} for {rows} rows",
                remedy="one truth value a row",
            ) from None

    def _scores(self, result: Any, scores: Tensor) -> Tensor:
        if not isinstance(result, Tensor) or result.shape != scores.shape:
            shape = tuple(result.shape) if isinstance(result, Tensor) else type(result).__name__
            raise PluginError(
                f"processor {self.name!r} turned scores of shape {tuple(scores.shape)} into {shape}",
                remedy="return a tensor (B, V)",
            )
        if not result.is_floating_point():
            raise PluginError(
                f"processor {self.name!r} turned {scores.dtype} scores into {result.dtype}",
                remedy="return scores; a mask is applied by scores.masked_fill(mask, -torch.inf)",
            )
        return result.to(scores)  # the dtype and device that the next step counts on

    def _start(self, view: View, scores: Tensor) -> Tensor:
        """What rows that are not called keep: their scores, or False."""
        if self.role == "stop":
            return torch.zeros(len(scores), dtype=torch.bool, device=scores.device)
        return scores.clone()


class Together(BoundStep):
    def __call__(self, view: View, scores: Tensor) -> Tensor:
        return self._call(self.instances[0], view.input_ids, scores)


class Ragged(BoundStep):
    def __call__(self, view: View, scores: Tensor) -> Tensor:
        return self._call(
            self.instances[0],
            view.input_ids,
            scores,
            lengths=view.lengths,
            prompt_lengths=view.prompt_lengths,
        )


class Grouped(BoundStep):
    def __call__(self, view: View, scores: Tensor) -> Tensor:
        groups = view.groups()
        if len(groups) == 1 and len(groups[0][1]) == len(scores):
            return self._call(self.instances[0], view.input_ids[:, : groups[0][0]], scores)
        merged = self._start(view, scores)
        for length, members in groups:
            rows = torch.tensor(members, device=scores.device)
            ids = view.input_ids.index_select(0, rows)[:, :length]  # (R, T) -> (G, T')
            merged[rows] = self._call(
                self.instances[0], ids, scores.index_select(0, rows)
            )  # (R, V) -> (G, V)
        return merged


class PerRow(BoundStep):
    def __call__(self, view: View, scores: Tensor) -> Tensor:
        if len(self.instances) == 1 and list(view.active) == [0]:
            return self._call(self.instances[0], view.input_ids[:, : view.host_lengths[0]], scores)
        merged = self._start(view, scores)
        for row in view.active:
            ids = view.input_ids[row : row + 1, : view.host_lengths[row]]
            merged[row] = self._call(self.instances[row], ids, scores[row : row + 1])[0]  # (1, V) -> (V,)
        return merged

    def observe(self, tokens: Tensor, active: Tensor) -> None:
        for row, instance in enumerate(self.instances):
            if hasattr(instance, "observe"):
                instance.observe(tokens[row : row + 1], active[row : row + 1])

    def select(self, rows: Tensor, host_rows: Sequence[int]) -> None:
        # Each new row gets a copy of its parent's instance, which draws the new row's numbers.
        self.instances = [self._at(place, self.instances[row]) for place, row in enumerate(host_rows)]

    def rewind(self, counts: Tensor) -> None:
        for row, instance in enumerate(self.instances):
            if hasattr(instance, "rewind"):
                instance.rewind(counts[row : row + 1])

    def of_candidates(self, rows: Sequence[int], tokens: Tensor) -> BoundStep:
        twin = copy.copy(self)
        twin.instances = [self.instances[row] for row in rows]
        if any(hasattr(instance, "observe") for instance in twin.instances):
            twin.instances = [fresh_copy(instance) for instance in twin.instances]
            twin.observe(tokens, torch.ones_like(tokens, dtype=torch.bool))
        return twin

    @staticmethod
    def _at(place: int, instance: Any) -> Any:
        return fresh_copy(instance, lambda part: part.of_row(place) if isinstance(part, StepRng) else None)


def way(traits: frozenset[str], needs: frozenset[str], rectangle: bool) -> type[BoundStep]:
    """Which of the four a step with these declarations gets; `rectangle` is transformers' own layout."""
    if "ragged" in traits:
        return Ragged
    if rectangle:
        return Together
    if "stateless" not in traits or needs & OF_A_ROW:
        return PerRow
    return Grouped if "reads_history" in traits else Together
