"""A row's answer is its own: no other row, no padding and nothing undeclared reaches it."""

from __future__ import annotations

from dataclasses import replace

import torch

from ..case import Case, unlike
from ..samples import NAMED, PAD, Rows, ragged_rows, score_rows, short_rows
from .check import check, require

ALONE = "reduce over the last dimension only, and hold nothing for the batch as a whole"


@check("step", remedy=ALONE)
def a_row_alone_equals_the_row_in_a_batch(case: Case) -> None:
    """Rows of equal length: alone, in reverse order, and beside a twin."""
    for rows in (*score_rows("lm-like", "tied", "with bans", "one left"), *short_rows()):
        _compare_with_alone(case, rows, "alone and in a batch")


@check("step", "ragged", remedy=f"read no further than `lengths` in each row; {ALONE}")
def a_row_alone_equals_the_row_in_a_ragged_batch(case: Case) -> None:
    for rows in ragged_rows():
        _compare_with_alone(case, rows, "alone and beside rows of other lengths")


@check("step", "ragged", remedy="mask what lies at or after `lengths`: torch.arange(T) < lengths[:, None]")
def padding_never_matters(case: Case) -> None:
    """Any id of the vocabulary, an id beyond it, or two columns more: the answer stays."""
    for rows in ragged_rows():
        expected = case.answer(rows)
        for filler in (*range(NAMED), rows.scores.shape[-1]):
            row = unlike(case.answer(_filled(rows, filler)), expected)
            require(row is None, f"reads the padding: id {filler} there changes row {row}")


@check("step", unless=["reads_history"], remedy="declare the trait reads_history, or leave input_ids alone")
def ignores_the_history(case: Case) -> None:
    """Other ids, and unless lengths are handed over, another number of them."""
    for rows in score_rows("lm-like", "with bans"):
        expected = case.answer(rows)
        others = [replace(rows, ids=(rows.ids + 1) % NAMED)]
        if "ragged" not in case.traits:
            others.append(replace(rows, ids=rows.ids[:, :5], lengths=rows.lengths - 4))
        for other in others:
            # Bound to the same facts: only what the call shows is different.
            row = unlike(case.bind(rows)(other.view(), rows.scores.clone()), expected)
            require(row is None, f"lacks the trait reads_history, and other ids change row {row}")


def _compare_with_alone(case: Case, rows: Rows, where: str) -> None:
    count = len(rows.lengths)
    expected = torch.cat([case.answer(rows.take([row])) for row in range(count)])  # R x (1, V) -> (R, V)
    for order in (range(count), range(count - 1, -1, -1), (1, 0, 1)):
        row = unlike(case.answer(rows.take(order)), expected[list(order)])
        require(
            row is None,
            f"answers a row differently {where} ({rows.kind}, rows {list(order)}, the one at {row})",
        )


def _filled(rows: Rows, filler: int) -> Rows:
    wider = torch.nn.functional.pad(rows.ids, (0, 2), value=PAD)  # (R, T) -> (R, T + 2)
    padding = torch.arange(wider.shape[1]) >= rows.lengths[:, None]
    return replace(rows, ids=wider.masked_fill(padding, filler))


CHECKS = (
    a_row_alone_equals_the_row_in_a_batch,
    a_row_alone_equals_the_row_in_a_ragged_batch,
    padding_never_matters,
    ignores_the_history,
)
