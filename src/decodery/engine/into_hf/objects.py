"""transformers' LogitsProcessor and StoppingCriteria around a pipeline's steps.

`generate` copies the objects out of the lists that it is given, once a call. So a list that makes new ones whenever it
is read gives every call its own; an object that somebody keeps finds out for itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor
from transformers import LogitsProcessor, LogitsProcessorList, StoppingCriteria, StoppingCriteriaList

from ...contracts.errors import InvalidInput
from ...contracts.steps import Step, StrategyUse
from ..io.arguments import as_ids
from ..plan.fused import as_scores
from ..steps.bind import bind_steps, strategy_min_keep
from ..steps.opaque import is_opaque
from .facts import Told, begin
from .following import what_changed
from .running import Running


class _Followed:
    """Steps of whichever run the ids that are shown belong to."""

    def __init__(self, steps: Sequence[Step], use: StrategyUse, told: Told) -> None:
        self._steps, self._use, self._told = tuple(steps), use, told
        self._running: Running | None = None

    def fresh(self) -> Any:
        """Another one, that has seen nothing."""
        return type(self)(self._steps, self._use, self._told)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(step.qualified or step.spec.name for step in self._steps)})"

    def _run(self, input_ids: Tensor, prompt: int) -> Running:
        """The run that (R, T) ids go on with, or a new one, of whose columns `prompt` are prompt."""
        ids = as_ids(input_ids)
        running = self._running
        change = None if running is None else what_changed(running.seen, ids, running.begun.prompt)
        if running is None or change is None:
            begun = begin(self._told, ids, prompt)
            least = strategy_min_keep(self._use, begun.facts)
            steps = bind_steps(self._steps, begun.facts, rectangle=self._told.rectangle, min_keep=least)
            self._running = running = Running(steps, begun, self._told.rectangle, ids)
        else:
            running.follow(ids, change)
        return running


class RecipeLogitsProcessor(_Followed, LogitsProcessor):  # type: ignore[misc]
    """The processors of a pipeline, in order, as one of transformers'."""

    supports_continuous_batching = False

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """(R, T) int64, (R, V) -> (R, V). A run's first call shows its prompt.

        Raises `CannotFollow` for a step that keeps state and cannot be reordered, by name.
        """
        running = self._run(input_ids, self._told.prompt_length or input_ids.shape[1])
        view, processed = running.view(), as_scores(scores)
        for step in running.steps:
            processed = step(view, processed)
        return processed


class RecipeStoppingCriteria(_Followed, StoppingCriteria):  # type: ignore[misc]
    """The stop rules of a pipeline as one criterion. A rule's clock starts with the first call."""

    def __init__(self, steps: Sequence[Step], use: StrategyUse, told: Told) -> None:
        super().__init__(steps, use, told)
        if told.eos and any(step.spec.finish_reason == "eos" for step in steps):
            # transformers pads finished rows where a criterion has this attribute.
            self.eos_token_id = torch.tensor(told.eos)

    def __call__(self, input_ids: Tensor, scores: Any, **kwargs: Any) -> Tensor:
        """(R, T) int64 with the newest token, the scores of every step or None -> (R,) bool. A run's first call shows
        one token behind the prompt, unless a fact tells how long the prompt is."""
        running = self._run(input_ids, self._told.prompt_length or input_ids.shape[1] - 1)
        shown = input_ids.new_empty((len(input_ids), 0), dtype=torch.float32)
        if scores is not None and len(scores):
            shown = scores if isinstance(scores, Tensor) else scores[-1]
        # An object that nobody registered is shown as little as generate would show it.
        read = [
            step.spec.name
            for step in self._steps
            if not is_opaque(step) and "ids_only" not in step.spec.traits
        ]
        if read and not shown.shape[-1]:
            raise InvalidInput(
                f"{', '.join(map(repr, read))} looks at scores, which generate shows only where it keeps them",
                remedy="generate(..., return_dict_in_generate=True, output_scores=True)",
            )
        view = running.view()
        answers = [rule(view, shown) for rule in running.steps]
        return torch.stack(answers).any(0)  # S x (R,) -> (R,)


Item = TypeVar("Item")


def _fresh(items: Iterator[Item]) -> Iterator[Item]:
    return (item.fresh() if isinstance(item, _Followed) else item for item in items)


class RecipeProcessors(LogitsProcessorList):  # type: ignore[misc]
    """Makes the pipeline's processor anew for whoever reads it, so that each call of `generate` has its own state.
    Called itself it is one processor, which follows the ids."""

    def __iter__(self) -> Iterator[Any]:
        return _fresh(super().__iter__())

    def __call__(self, input_ids: Tensor, scores: Tensor, **kwargs: Any) -> Tensor:
        """(R, T) int64, (R, V) -> (R, V)."""
        return LogitsProcessorList(super().__iter__())(input_ids, scores, **kwargs)  # type: ignore[no-any-return]


class RecipeCriteria(StoppingCriteriaList):  # type: ignore[misc]
    """The same for stop rules."""

    def __iter__(self) -> Iterator[Any]:
        return _fresh(super().__iter__())

    def __call__(self, input_ids: Tensor, scores: Any, **kwargs: Any) -> Tensor:
        """(R, T) int64, the scores of every step or None -> (R,) bool."""
        return StoppingCriteriaList(super().__iter__())(input_ids, scores, **kwargs)  # type: ignore[no-any-return]
