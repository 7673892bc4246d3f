"""Where state may live: in the object of one run, moved by `observe` alone."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from threading import Barrier

from torch import Tensor

from ..case import Case, unlike
from ..samples import VOCABULARIES, Rows, score_rows, short_rows
from .check import check, require

THREADS, ROUNDS = 2, 8


@check(
    "step",
    "stateless",
    remedy="keep nothing between calls, or drop the trait stateless and follow with observe",
)
def remembers_nothing(case: Case) -> None:
    """One object, asked of many rows, twice and in another order, answers like a new one."""
    for batches in _batches_of_equal_facts():
        expected = [case.answer(rows) for rows in batches]
        bound = case.bind(batches[0])
        for place in (0, 1, 2, 2, 0, 1):
            row = unlike(case.answer(batches[place], bound), expected[place])
            require(row is None, f"is declared stateless and answers row {row} differently when asked again")


@check("processor", unless=["stateless"], remedy="change state in observe; applying must leave it as it was")
def applying_changes_no_state(case: Case) -> None:
    """Asked twice before the next token, it says the same: a bad row is looked into by asking again."""
    for rows in (*score_rows("lm-like", "with bans"), *short_rows()):
        bound = case.bind(rows)
        expected = case.answer(rows, bound)
        row = unlike(case.answer(rows, bound), expected)
        require(row is None, f"answers row {row} differently when asked again before the next token")


@check("step", remedy="keep nothing in the class, the module or a global; all state belongs to the object")
def two_threads_do_not_meet(case: Case) -> None:
    """Two runs at once; and where it is stateless two callers of one object, as a pipeline used unbound has."""
    for batches in _batches_of_equal_facts():
        pair = batches[:THREADS]
        expected = [case.answer(rows) for rows in pair]
        shared = [case.bind(pair[0])] * THREADS
        for bounds in ([case.bind(rows) for rows in pair], *([shared] if "stateless" in case.traits else [])):
            asked = [partial(case.answer, rows, bound) for rows, bound in zip(pair, bounds, strict=True)]
            for answers, wanted in zip(_at_once(asked), expected, strict=True):
                unmoved = all(unlike(answer, wanted) is None for answer in answers)
                require(unmoved, "answers differently while another thread decodes")


def _batches_of_equal_facts() -> Iterator[list[Rows]]:
    """Different scores and ids; lengths and facts are those of the first batch, so that one object serves all."""
    for vocab in VOCABULARIES:
        found = [
            rows for rows in score_rows("lm-like", "with bans", "tied") if rows.scores.shape[-1] == vocab
        ]
        yield [replace(rows, keys=found[0].keys, encoder_ids=found[0].encoder_ids) for rows in found]


def _at_once(jobs: Sequence[Callable[[], Tensor]]) -> list[list[Tensor]]:
    """Each job's answers of `ROUNDS` calls, a thread a job, all starting together."""
    barrier = Barrier(len(jobs))

    def repeat(job: Callable[[], Tensor]) -> list[Tensor]:
        barrier.wait()
        return [job() for _ in range(ROUNDS)]

    with _switching_often(), ThreadPoolExecutor(len(jobs)) as pool:
        return list(pool.map(repeat, jobs))


@contextmanager
def _switching_often() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


CHECKS = (remembers_nothing, applying_changes_no_state, two_threads_do_not_meet)
