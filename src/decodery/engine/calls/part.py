"""Rows that are decoded together, from the first forward to their results."""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from math import inf
from typing import Any

import torch

from ...contracts.errors import BadRow, InvalidInput, PluginError
from ...contracts.steps import Step
from ..graph.loop import decode_in_graph
from ..io.generation import Row
from ..io.recorders import LogprobRecorder, ScoreRecorder
from ..io.rows import Event, Origin, RowEvents, hypothesis_events, hypothesis_row, result_row
from ..loop import decode_tokens, own_steps
from ..pipeline import Pipeline
from ..run.hypotheses import Hypothesis
from .opening import Opening, Setting
from .wishes import Wishes


class Part:
    """Rows that are decoded together: all of them, or those of one prompt length.

    `places` are the rows' indices in the call's result; of a ranking strategy, with its row a prompt, the first ones.
    """

    def __init__(
        self,
        setting: Setting,
        pipeline: Pipeline,
        wishes: Wishes,
        origins: Sequence[Origin],
        keys: Sequence[int],
        inputs: Mapping[str, Any],
        encoder_lengths: Sequence[int] | None,
        role_prompts: Mapping[str, Sequence[Sequence[int]]],
        places: Sequence[int],
        stops: Sequence[Step],
        seed: int | None,
        samples: int,
    ) -> None:
        self.origins, self.places = origins, places
        self._name, self._samples = pipeline.effective_strategy.spec.name, samples
        self._draw, self._host = pipeline.effective_strategy.spec.draw, pipeline.host
        self._captured = setting.captured if setting.graphs else None
        self._ranks = pipeline.effective_strategy.spec.ranks
        self._logprobs = None if wishes.logprobs is None else LogprobRecorder(len(origins), wishes.logprobs)
        self._scores = ScoreRecorder(len(origins)) if wishes.return_scores else None
        own = [recorder for recorder in (self._logprobs, self._scores) if recorder is not None]
        # What is written at every step must not be born in inference mode, or it could never be written outside it.
        with torch.inference_mode(False):
            self._opening = Opening(
                setting,
                pipeline,
                [origin.prompt for origin in origins],
                keys=keys,
                kinds=[origin.prompt_index for origin in origins],
                inputs=inputs,
                encoder_lengths=encoder_lengths,
                role_prompts=role_prompts,
                sample_indices=[origin.sample_index for origin in origins],
                samples=samples,
                stops=stops,
                seed=seed,
                observers=[*wishes.observers, *own],
            )
        self._run, self._texts = self._opening.run, self._opening.texts

    def steps(self) -> Iterator[None]:
        """Decode to the end; an item whenever there is something new to show. Sessions are closed whatever happens."""
        with closing(self._opening):
            strategy = self._opening.strategy
            if hasattr(strategy, "choose") and self._run.role_prompts:
                raise InvalidInput(
                    _unread(self._run.role_prompts.unread, self._name),
                    remedy="strategies with further models or texts do, as 'mix'",
                )
            try:
                if hasattr(strategy, "choose"):
                    yield from self._loop()
                    return
                yield from own_steps(strategy, self._run)
            except BadRow as bad:  # a row of the part, of which the caller knows nothing
                raise BadRow(self.places[bad.row], bad.step, bad.processor, bad.what) from bad
            self._check()
            if unread := self._run.role_prompts.unread:
                warnings.warn(_unread(unread, self._name), stacklevel=6)

    def _loop(self) -> Iterator[None]:
        if self._captured is None:
            return decode_tokens(self._run)
        return decode_in_graph(self._run, self._draw, self._host, self._captured)

    def events(self) -> Generator[Event, None, None]:
        """Decode to the end; one event a token, in the order of steps and rows."""
        rows = []
        if not self._ranks:
            texts = [self._texts.begin(origin.prompt) if self._texts else None for origin in self.origins]
            rows = [
                RowEvents(self._run, row, self.places[row], text, self._logprobs)
                for row, text in enumerate(texts)
            ]
        for _ in self.steps():
            for row in rows:
                yield from row.new()
        for row in rows:
            yield from row.new()
        if self._ranks:
            for place, result in self.results():
                yield from hypothesis_events(place, result)

    def results(self) -> list[tuple[int, Row]]:
        """Each row with its index in the call's result; what is not finished yet says "interrupted"."""
        if not self._ranks:
            return [
                (place, result_row(self._run, row, origin, self._texts, self._logprobs, self._scores))
                for row, (place, origin) in enumerate(zip(self.places, self.origins, strict=True))
            ]
        kept: dict[int, list[Row]] = defaultdict(list)
        for found in self._run.emitted:
            rows, origin = kept[found.prompt], self.origins[found.prompt]
            if len(rows) < self._samples:
                rows.append(hypothesis_row(found, len(rows), origin, self._texts))
        for prompt, origin in enumerate(
            self.origins
        ):  # an interrupted strategy emitted fewer than were wanted
            rows = kept[prompt]
            while len(rows) < self._samples:
                rows.append(
                    hypothesis_row(
                        Hypothesis(prompt, (), -inf, "interrupted"), len(rows), origin, self._texts
                    )
                )
        return [
            (self.places[prompt] + sample, row)
            for prompt, rows in sorted(kept.items())
            for sample, row in enumerate(rows)
        ]

    @property
    def fallbacks(self) -> int:
        """See `Generation.fallbacks`."""
        return self._run.fallbacks

    def _check(self) -> None:
        """A strategy leaves a row for each that it was given, or has emitted as many results as were wanted."""
        if self._ranks:
            emitted = [found.prompt for found in self._run.emitted]
            for prompt in range(len(self.origins)):
                if emitted.count(prompt) < self._samples:
                    raise PluginError(
                        f"strategy {self._name!r} emitted {emitted.count(prompt)} results of {self._samples} "
                        f"for prompt {prompt}",
                        remedy="call run.emit run.samples times for each prompt",
                    )
        elif len(self._run.reasons) != len(self.origins):
            raise PluginError(
                f"strategy {self._name!r} left {len(self._run.reasons)} rows of {len(self.origins)}",
                remedy="select one row for each that it was given",
            )


def _unread(roles: set[str], strategy: str) -> str:
    named = ", ".join(repr(role) for role in sorted(roles))
    return f"strategy {strategy!r} looks for no role prompt {named}"
