"""Where chance comes from: the numbers that are handed over, in the amounts that a row's own keys give."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ...contracts.specs import StrategySpec
from ..case import Case, same
from ..samples import Rows, rows, score_rows
from ..statistics import chi_square
from .check import check, require

DRAWS = 500
LEAST = 1e-6
GIVEN = "declare needs={'rng'} and draw from that; a strategy is handed its `rng`"


@check("step", remedy=GIVEN)
def draws_from_the_given_numbers_alone(case: Case) -> None:
    """No generator of torch, Python or numpy is moved, and built anew with the same numbers it answers the same."""
    _check_sources(case, case.answer)


@check("choose", remedy=GIVEN)
def chooses_by_the_given_numbers_alone(case: Case) -> None:
    _check_sources(case, case.choose)


@check(
    "step",
    "rng",
    remedy="ask rng.uniform(purpose) at each call, and keep no number from one call to the next",
)
def every_row_and_step_has_numbers_of_its_own(case: Case) -> None:
    """The answers of one row at many steps are distributed as those of many rows at one step."""
    _check_freshness(case, lambda batch, steps: case.answer(batch, case.bind(batch, steps=steps)))


@check("choose", remedy="ask rng.uniform(purpose) at each call, and keep no number from one call to the next")
def every_row_and_step_draws_anew(case: Case) -> None:
    """The same of the tokens that are chosen."""

    def choose(batch: Rows, steps: Tensor) -> Tensor:
        return case.strategy(batch).choose(batch.scores.clone(), batch.facts(steps).rng)  # type: ignore[no-any-return]

    _check_freshness(case, choose)


@check("choose", "draws_categorical", remedy="return rng.categorical(scores)")
def draws_in_proportion(case: Case) -> None:
    """Pearson's chi-square of many rows of the same scores against softmax(scores)."""
    batch = _many(rows("lm-like", 8, (3,), (3,), seed=5), DRAWS)
    tokens = case.choose(batch)
    counts = torch.bincount(tokens, minlength=batch.scores.shape[-1])
    p = chi_square(counts, batch.scores[0].double().softmax(-1))
    require(
        p > LEAST, f"draws tokens {counts.tolist()} times, which softmax(scores) makes unlikely (p = {p:.1e})"
    )


def _check_sources(case: Case, answer: Callable[[Rows], Tensor]) -> None:
    for batch in score_rows("lm-like", "with bans"):
        before = _generators()
        first = answer(batch)
        moved = [name for name, state in _generators().items() if not _equal(state, before[name])]
        require(not moved, f"moves the generator of {' and '.join(moved)}")
        require(
            same(first, answer(batch)), "answers differently when it is built again with the same numbers"
        )


def _generators() -> dict[str, Any]:
    states: dict[str, Any] = {"torch": torch.get_rng_state(), "Python": random.getstate()}
    try:
        import numpy as np  # noqa: PLC0415 (torch works without it)
    except ImportError:
        return states
    states["numpy"] = np.random.get_state()[1].tolist()  # type: ignore[index]
    return states


def _equal(first: Any, second: Any) -> bool:
    return torch.equal(first, second) if isinstance(first, Tensor) else bool(first == second)


def _check_freshness(case: Case, answer: Callable[[Rows, Tensor], Tensor]) -> None:
    one = rows("lm-like", 8, (3,), (3,), seed=5)
    many = _many(one, DRAWS)
    across = answer(many, torch.zeros(DRAWS, dtype=torch.int64))
    # One object for all steps: what it keeps from its first call is seen. The counter moves in place, as in a run.
    steps = torch.zeros(1, dtype=torch.int64)
    along = _along(case, one, steps)
    values = torch.cat([across, torch.stack(along)])  # (N, ...), (N, ...) -> (2 N, ...)
    kinds = _kinds(values)
    p = _same_distribution(kinds[:DRAWS], kinds[DRAWS:])
    require(p > LEAST, f"answers one row at many steps otherwise than many rows at one step (p = {p:.1e})")


def _along(case: Case, one: Rows, steps: Tensor) -> list[Tensor]:
    found = []
    if isinstance(case.spec, StrategySpec):
        strategy, rng = case.strategy(one), one.facts(steps).rng
        for _ in range(DRAWS):
            found.append(strategy.choose(one.scores.clone(), rng)[0])
            steps += 1
        return found
    bound = case.bind(one, steps=steps)
    for _ in range(DRAWS):
        found.append(case.answer(one, bound)[0])
        steps += 1
    return found


def _many(one: Rows, count: int) -> Rows:
    """`count` rows that are this one, each with a key of its own."""
    return replace(one.take([0] * count), keys=torch.arange(count) * 7919 + 3)


def _kinds(values: Tensor) -> Sequence[int]:
    """(N, ...) answers as a few kinds: by the token for tokens and truths, by the first score's rank for scores."""
    if values.ndim == 1:
        return values.long().tolist()  # type: ignore[no-any-return]
    banned = (values == -torch.inf).long() @ (2 ** torch.arange(values.shape[-1]))  # (N, V) -> (N,)
    shift = values.nan_to_num(neginf=0.0).sum(-1)  # (N,)
    edges = torch.quantile(shift.double(), torch.linspace(0, 1, 9, dtype=torch.float64)[1:-1])
    return (banned * 16 + torch.bucketize(shift.double(), edges)).tolist()  # type: ignore[no-any-return]


def _same_distribution(first: Sequence[int], second: Sequence[int]) -> float:
    """Chi-square of homogeneity of two samples of equal size: against their common distribution, at twice the
    statistic of one."""
    kinds = {kind: place for place, kind in enumerate(sorted({*first, *second}))}
    a, b = (
        torch.bincount(torch.tensor([kinds[kind] for kind in sample]), minlength=len(kinds)).double()
        for sample in (first, second)
    )
    common = (a + b) / 2
    small = common < 5
    a, b = (torch.cat((counts[~small], counts[small].sum().unsqueeze(0))) for counts in (a, b))
    total = a + b
    kept = total > 0
    statistic = ((a - b)[kept] ** 2 / total[kept]).sum()
    freedom = torch.tensor(float(kept.sum() - 1), dtype=torch.float64)
    return float(torch.special.gammaincc(freedom / 2, statistic / 2)) if freedom > 0 else 1.0


CHECKS = (
    draws_from_the_given_numbers_alone,
    chooses_by_the_given_numbers_alone,
    every_row_and_step_has_numbers_of_its_own,
    every_row_and_step_draws_anew,
    draws_in_proportion,
)
