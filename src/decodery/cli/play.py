"""One job through the engine: rows to the printer as they come, numbers to stderr at the end."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..contracts.params import param_values
from .console import Console
from .rows import JsonPrinter, RowPrinter, RowState, row_states

if TYPE_CHECKING:
    from ..engine.calls.stream import Stream
    from ..engine.decoder import Decoder
    from ..recipe.recipe import Recipe


@dataclass(frozen=True)
class Job:
    """What to do and how to show it. `stream` None: stream a lone row to a terminal, else rows whole."""

    prompts: list[str] | list[list[int]]
    samples: int
    seed: int | None
    max_new_tokens: int | None
    stream: bool | None
    as_json: bool
    model: str
    recipe: Recipe
    has_text: bool = True
    decoder_prompts: list[str] | list[list[int]] | None = None
    role_prompts: Mapping[str, list[str] | list[list[int]]] = field(default_factory=dict)


def play(console: Console, decoder: Decoder, job: Job) -> int:
    """Generate and print. Whatever ends the run early, what was made is on stdout and the seed on stderr.

    Gives the exit code: 1 where the recipe let rows with errors end alone. Raises what the engine raises.
    """
    rows = row_states(job.prompts, job.samples)
    live = not job.as_json and (
        job.stream if job.stream is not None else console.out_terminal and len(rows) == 1
    )
    seed = _seed(job)
    printer = _printer(console, job, rows, seed, live)
    clock, stream = Clock(), None
    try:
        with nullcontext() if live or len(rows) == 1 else console.progress(_most_tokens(job, rows)) as bar:
            stream = decoder.stream(
                job.prompts,
                n=job.samples,
                seed=seed,
                max_new_tokens=job.max_new_tokens,
                decoder_prompts=job.decoder_prompts,
                role_prompts=job.role_prompts,
            )
            for event in stream:
                if event.token is not None:
                    clock.tick()
                rows[event.row].score = event.score
                printer.push(event.row, event.token, event.text, event.finished)
                if bar is not None:
                    bar.update(*_progress(job, rows, clock.tokens))
        for state, row in zip(rows, stream.result, strict=True):
            state.reason = state.reason or row.finish_reason  # a row may end without a token of its own
    except KeyboardInterrupt:
        if stream is not None:
            _ranked_so_far(rows, printer, stream)
        raise
    finally:
        clock.stop()
        printer.close()
        _report(console, job, seed, clock)
    failed = sum(row.reason == "error" for row in rows)
    if failed:
        console.error(f"error: {failed} of {len(rows)} rows ended early because their scores went bad")
        return 1
    return 0


def _ranked_so_far(rows: list[RowState], printer: RowPrinter, stream: Stream) -> None:
    """A strategy that ranks tells its texts at its end; interrupted, it has given the best that it had."""
    for index, row in enumerate(stream.result):
        state = rows[index]
        if state.reason is not None or state.tokens or row.sequence_score is None or not row.tokens:
            continue
        state.score = row.sequence_score
        for left, token in zip(range(len(row.tokens) - 1, -1, -1), row.tokens, strict=True):
            text = row.text if left == len(row.tokens) - 1 else ""
            printer.push(index, token, text, None if left else row.finish_reason)


class Clock:
    """Time to the first token, and tokens a second over the whole run, the prompt's forward included."""

    def __init__(self) -> None:
        self._start = time.perf_counter()
        self.tokens, self.first, self.seconds = 0, 0.0, 0.0

    def tick(self) -> None:
        """A token came."""
        self.tokens += 1
        if self.tokens == 1:
            self.first = time.perf_counter() - self._start

    def stop(self) -> None:
        """The run is over."""
        self.seconds = time.perf_counter() - self._start

    def __str__(self) -> str:
        rate = self.tokens / self.seconds if self.seconds else 0.0
        return (
            f"{self.tokens} tokens in {self.seconds:.2f} s ({rate:.1f} tokens/s), "
            f"first token after {self.first * 1000:.0f} ms"
        )


def draws(recipe: Recipe) -> bool:
    """The recipe's output depends on the seed."""
    return recipe.strategy.spec.draw != "argmax" or any(
        "rng" in step.spec.needs for step in recipe.processors
    )


def _seed(job: Job) -> int | None:
    """The option's, the recipe's, or a fresh one, since torch's own generator begins each process alike.

    None where nothing is drawn, so that a greedy run is told by the same words each time.
    """
    given = job.seed if job.seed is not None else job.recipe.strategy.seed
    return secrets.randbits(32) if given is None and draws(job.recipe) else given


def _printer(console: Console, job: Job, rows: list[RowState], seed: int | None, live: bool) -> RowPrinter:
    # A progress bar and rows on one terminal would write over each other, so the rows wait for its end.
    held = console.out_terminal and not live and len(rows) > 1
    if not job.as_json:
        return RowPrinter(console, rows, live=live, held=held, has_text=job.has_text)
    facts = {
        "seed": seed,
        "model": job.model,
        "recipe": job.recipe.name,
        "fingerprint": job.recipe.fingerprint,
    }
    return JsonPrinter(console, rows, facts, held=held, has_text=job.has_text)


def _limit(job: Job) -> int | None:
    """The most new tokens a row can get, where the job or the recipe says so."""
    if job.max_new_tokens is not None:
        return job.max_new_tokens
    limits = [
        value
        for step in job.recipe.stop
        if step.spec.name == "max_new_tokens"
        for value in param_values(step.params).values()
        if isinstance(value, int)
    ]
    return min(limits, default=None)


def _most_tokens(job: Job, rows: list[RowState]) -> int | None:
    limit = _limit(job)
    return None if limit is None else limit * len(rows)


def _progress(job: Job, rows: list[RowState], tokens: int) -> tuple[int, int, str]:
    """(completed, tokens, words): a row that finished early counts as complete."""
    done = sum(row.reason is not None for row in rows)
    limit = _limit(job) or 0
    completed = sum(limit if row.reason is not None else len(row.tokens) for row in rows)
    return completed, tokens, f"{done} of {len(rows)} rows"


def _report(console: Console, job: Job, seed: int | None, clock: Clock) -> None:
    if not clock.tokens:
        return
    words = [str(clock)] if console.verbose or console.err_terminal else []
    if draws(job.recipe):
        words.append(f"seed {seed}")
    if words:
        console.say("; ".join(words))
