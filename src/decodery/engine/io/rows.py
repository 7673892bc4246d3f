"""From the rows of a run to a stream's events and a result's rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ...contracts.protocols import Tokenizer
from ..run.hypotheses import Hypothesis
from ..run.run import Run
from .generation import Row
from .recorders import LogprobRecorder, ScoreRecorder
from .text import RowText


@dataclass(frozen=True, slots=True)
class Event:
    """One token of a stream. `row` counts as in the result; `text` is what may be shown by now, "" while bytes or a
    possible stop string are held back; `finished` is the finish reason with the row's last event. A row that ends
    without a token of its own has a last event whose `token` is None. `score` comes with the last event of a text that
    its strategy ranked.
    """

    row: int
    token: int | None
    text: str
    logprob: float | None
    finished: str | None
    score: float | None = None


@dataclass(frozen=True, slots=True)
class TextRules:
    """How a row's tokens become text: by which tokenizer, and where it ends."""

    tokenizer: Tokenizer
    stop_strings: tuple[str, ...] = ()
    include_stop: bool = False

    def begin(self, prompt: Sequence[int]) -> RowText:
        """The text of a row after this prompt."""
        return RowText(self.tokenizer, prompt, self.stop_strings, self.include_stop)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a row comes from."""

    prompt_index: int
    sample_index: int
    prompt: tuple[int, ...]
    seed: int | None


class RowEvents:
    """The events of one row: each call tells what came since the last."""

    def __init__(
        self, run: Run, row: int, place: int, text: RowText | None, logprobs: LogprobRecorder | None
    ) -> None:
        """Row `row` of the run is row `place` of the result."""
        self._run, self._row, self._place, self._text, self._logprobs = run, row, place, text, logprobs
        self._shown, self._told = 0, False

    def new(self) -> Iterator[Event]:
        """One event a token, the last one with the finish reason."""
        if self._told:
            return
        tokens, reason = self._run.generated(self._row, since=self._shown), self._run.reasons[self._row]
        for left, token in zip(range(len(tokens) - 1, -1, -1), tokens, strict=True):
            last = reason if left == 0 and reason != "error" else None
            self._told = last is not None
            text = self._text.push(token, last) if self._text else ""
            yield Event(self._place, token, text, self._logprob(self._shown), last)
            self._shown += 1
        if reason is not None and not self._told:
            self._told = True
            yield Event(self._place, None, self._text.finish(reason) if self._text else "", None, reason)

    def _logprob(self, place: int) -> float | None:
        return None if self._logprobs is None else self._logprobs.rows[self._row][place].processed


def result_row(
    run: Run,
    row: int,
    origin: Origin,
    rules: TextRules | None,
    logprobs: LogprobRecorder | None,
    scores: ScoreRecorder | None,
) -> Row:
    """Row `row` of the run as the caller gets it; one that is not finished says "interrupted"."""
    tokens, reason = run.generated(row), run.reasons[row] or "interrupted"
    return Row(
        origin.prompt_index,
        origin.sample_index,
        origin.prompt,
        tokens,
        None if rules is None else _whole_text(rules.begin(origin.prompt), tokens, reason),
        reason,
        origin.seed,
        None if logprobs is None else logprobs.rows[row],
        None if scores is None else _stacked(scores.rows[row]),
    )


def hypothesis_row(found: Hypothesis, rank: int, origin: Origin, rules: TextRules | None) -> Row:
    """A ranking strategy's result as the caller gets it; `rank` counts from 0 among those of its prompt."""
    tokens = list(found.tokens)
    return Row(
        origin.prompt_index,
        rank,
        origin.prompt,
        tokens,
        None if rules is None else _whole_text(rules.begin(origin.prompt), tokens, found.reason),
        found.reason,
        origin.seed,
        sequence_score=found.score,
    )


def hypothesis_events(place: int, row: Row) -> Iterator[Event]:
    """The events of a result that was not known before the end: the text comes with its first one."""
    for left, token in zip(range(len(row.tokens) - 1, -1, -1), row.tokens, strict=True):
        text = (row.text or "") if left == len(row.tokens) - 1 else ""
        if left:
            yield Event(place, token, text, None, None)
        else:
            yield Event(place, token, text, None, row.finish_reason, row.sequence_score)
    if not row.tokens:
        yield Event(place, None, "", None, row.finish_reason, row.sequence_score)


def _whole_text(text: RowText, tokens: Sequence[int], reason: str) -> str:
    """The text in one go, through the same windows as a stream's, so that the two never differ."""
    ends_with_token = bool(tokens) and reason != "error"
    for token in tokens[:-1] if ends_with_token else tokens:
        text.push(token, None)
    if ends_with_token:
        text.push(tokens[-1], reason)
    else:
        text.finish(reason)
    return text.text


def _stacked(scores: Sequence[Tensor]) -> Tensor:
    return torch.stack(list(scores)) if scores else torch.empty(0, 0)  # N x (V,) -> (N, V)
