"""One call of `generate` or `stream`: prompts laid out as rows, runs over them, results in order."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Generator, Iterator, Sequence

import torch

from ...contracts.errors import InvalidInput
from ...contracts.steps import Step, fill
from ..buffers.rows import take_rows
from ..io.generation import Generation
from ..io.given import Given
from ..io.rows import Event, Origin
from ..pipeline import Pipeline
from ..rng import as_key, prompt_keys
from ..steps.bind import owns_loop
from .opening import Setting
from .part import Part
from .wishes import Wishes, choose_seed

MOST_ROWS = 100_000
"""Of one call: each has a cache of its own, so more than this is a mistake long before it is a lack of memory."""


class Call:
    """The rows of the result are prompt-major: sample s of prompt p is row p * n + s.

    Raises `InvalidInput` for wishes that cannot be met.
    """

    def __init__(self, setting: Setting, pipeline: Pipeline, given: Given, wishes: Wishes) -> None:
        self._setting, prompts = setting, given.prompts
        use = pipeline.effective_strategy
        self._seed = choose_seed(pipeline, wishes, len(prompts))
        if use.spec.ranks and (wishes.logprobs is not None or wishes.return_scores):
            raise InvalidInput(
                f"strategy {use.spec.name!r} ranks whole texts and keeps no scores a token",
                remedy="read gen.sequence_scores",
            )
        samples = wishes.n or getattr(use.params, "num_return_sequences", None) or 1
        rows = 1 if use.spec.ranks else samples
        if len(prompts) * samples > MOST_ROWS:
            raise InvalidInput(
                f"n = {samples} for {len(prompts)} prompts is more than {MOST_ROWS:,} rows",
                remedy="ask for fewer at once",
            )
        origins = [
            Origin(p, s, tuple(prompt), wishes.seeds[p] if wishes.seeds is not None else self._seed)
            for p, prompt in enumerate(prompts)
            for s in range(rows)
        ]
        keys = _row_keys(given.keys, wishes, self._seed, rows)
        device = setting.model.facts.device
        inputs = given.model_inputs(rows, device)
        lengths = None if given.encoder is None else given.encoder.lengths(rows)
        stops = stop_rules(pipeline, wishes.max_new_tokens)
        # A loop of the strategy's own has all rows in step. Without masks rows of one length need no second feeding;
        # observers know rows by their place in the whole call, so theirs stay together all the same.
        apart = owns_loop(use) and not pipeline.compatibility and not wishes.observers
        self._parts = [
            Part(
                setting,
                pipeline,
                wishes,
                [origins[row] for row in members],
                [keys[row] for row in members],
                take_rows(inputs, torch.tensor(members, device=device), len(origins)),
                None if lengths is None else [lengths[row] for row in members],
                {
                    role: [texts[origins[row].prompt_index] for row in members]
                    for role, texts in wishes.role_prompts.items()
                },
                [row * samples if use.spec.ranks else row for row in members],
                stops,
                self._seed,
                samples,
            )
            for members in _groups(origins, apart and not setting.model.facts.capabilities.masks)
        ]

    def steps(self) -> Iterator[None]:
        """Decode to the end; one item a step."""
        for part in self._parts:
            yield from part.steps()

    def events(self) -> Generator[Event, None, None]:
        """Decode to the end; one event a token, in the order of steps and rows."""
        for part in self._parts:
            yield from part.events()

    def result(self) -> Generation:
        """The rows, in order; what is not finished yet says "interrupted"."""
        found = [result for part in self._parts for result in part.results()]
        rows = [row for _, row in sorted(found, key=lambda result: result[0])]
        fallbacks = sum(part.fallbacks for part in self._parts)
        return Generation(rows, self._setting.filler, self._seed, self._setting.model.facts.device, fallbacks)


def stop_rules(pipeline: Pipeline, max_new_tokens: int | None) -> tuple[Step, ...]:
    """The stop rules, `max_new_tokens` taking the place of the recipe's own."""
    rules = pipeline.effective_stops
    if max_new_tokens is None:
        return rules
    qualified, spec = pipeline.host.step("max_new_tokens")
    rule = Step(spec, fill(spec, {"max_new_tokens": max_new_tokens}), qualified)
    return (*(r for r in rules if r.spec.name != "max_new_tokens"), rule)


def _row_keys(prompts: Sequence[Sequence[int]], wishes: Wishes, seed: int | None, rows: int) -> list[int]:
    keys = prompt_keys(seed or 0, prompts) if wishes.seeds is None else [as_key(s) for s in wishes.seeds]
    return [key for key in keys for _ in range(rows)]


def _groups(origins: Sequence[Origin], apart: bool) -> list[list[int]]:
    """All rows together, or `apart`: those of each prompt length, in the order of their first."""
    if not apart:
        return [list(range(len(origins)))]
    found: defaultdict[int, list[int]] = defaultdict(list)
    for row, origin in enumerate(origins):
        found[len(origin.prompt)].append(row)
    return list(found.values())
