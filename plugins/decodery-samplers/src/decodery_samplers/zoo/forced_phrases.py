"""Three steps of logits-processor-zoo (Apache-2.0, NVIDIA) that write a phrase when the scores call for it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from torch import Tensor

from decodery.contracts.protocols import Tokenizer

from ..rows.filters import probabilities
from ..text.tokens import TokenOrText, token_ids
from .phrases import Caller, State, phrase_ids


class ForceLastPhrase(Caller):
    """When the end of the text would be the best token, the phrase comes first; once a row.

    ForceLastPhraseLogitsProcessor.
    """

    def __init__(self, *, phrase: str, tokenizer: Tokenizer, eos: Sequence[int]) -> None:
        super().__init__()
        self.phrase, self.eos = phrase_ids(tokenizer, phrase, "force_last_phrase"), frozenset(eos)

    def _wanted(self, state: State, row: Tensor) -> State:
        if state.place < 0 and not state.times and int(row.argmax()) in self.eos:
            return replace(state, place=0)
        return state


class TriggerPhrase(Caller):
    """When `trigger` would be the best token, or after `trigger_time` seconds, the phrase comes in its place, or with
    `after` behind it; `count` times at most. TriggerPhraseLogitsProcessor."""

    def __init__(
        self,
        *,
        phrase: str,
        tokenizer: Tokenizer,
        trigger: Sequence[TokenOrText] = (),
        trigger_time: float | None = None,
        count: int = 1,
        after: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self.phrase = phrase_ids(tokenizer, phrase, "trigger_phrase")
        self.trigger = token_ids(trigger, tokenizer, "trigger_phrase: trigger")
        self.trigger_time, self.count, self.after = trigger_time, count, after
        self._clock, self._start = clock, clock()

    def _wanted(self, state: State, row: Tensor) -> State:
        if state.place >= 0 or state.times >= self.count:
            return state
        best = int(row.argmax())
        if best in self.trigger:
            # `count` is 1 + the trigger that must come before the phrase does.
            return replace(state, count=1 + best) if self.after else replace(state, place=0)
        late = self.trigger_time is not None and self._clock() - self._start > self.trigger_time * (
            state.times + 1
        )
        return replace(state, place=0) if late else state

    def _written(self, state: State, token: int) -> State:
        if state.place < 0 and state.count:
            return replace(state, count=0, place=0 if token == state.count - 1 else -1)
        return super()._written(state, token)


class PreventHallucination(Caller):
    """When the best token had less than `min_p` more than `tolerate` times, the phrase comes; then counting begins
    anew. PreventHallucinationLogitsProcessor."""

    def __init__(self, *, tokenizer: Tokenizer, min_p: float, tolerate: int, phrase: str) -> None:
        super().__init__()
        self.phrase = phrase_ids(tokenizer, phrase, "prevent_hallucination")
        self.min_p, self.tolerate = min_p, tolerate

    def _wanted(self, state: State, row: Tensor) -> State:
        if state.place >= 0:
            return state
        unsure = bool(probabilities(row).amax() < self.min_p)
        count = state.count + unsure
        return replace(state, count=count, place=0 if count > self.tolerate else -1)
