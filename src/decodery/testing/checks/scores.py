"""What a processor may do to scores."""

from __future__ import annotations

import torch
from torch import Tensor

from ..case import Call, Case, unlike
from ..samples import score_rows, short_rows
from .check import check, require

BANS = "ban with -inf by masked_fill or torch.where, not by arithmetic"


@check(
    "processor",
    remedy="return a tensor like `scores`: make new tensors with new_full, zeros_like, to(scores)",
)
def keeps_shape_dtype_and_device(case: Case) -> None:
    def inspect(call: Call) -> None:
        scores, result = call.before["scores"], call.result
        require(isinstance(result, Tensor), f"returned {type(result).__name__} instead of a tensor")
        for what in ("shape", "dtype", "device"):
            wanted, got = getattr(scores, what), getattr(result, what)
            require(wanted == got, f"was given scores of {what} {wanted} and returned {got}")

    for rows in (*score_rows("lm-like"), *short_rows()):
        case.watch(rows, inspect)
        case.watch(rows.with_scores(rows.scores.double()), inspect)


@check("processor", remedy="mind -inf and rows of one token: 0 * -inf, -inf - -inf, x / 0 and the log of 0")
def gives_no_nan(case: Case) -> None:
    for rows in (*score_rows(), *short_rows()):
        result = case.answer(rows)
        require(not bool(result.isnan().any()), f"made NaN of finite or banned scores ({rows.kind})")
        require(not bool((result == torch.inf).any()), f"made an infinite score ({rows.kind})")


@check("processor", remedy="keep at least the best token of each row")
def never_masks_everything(case: Case) -> None:
    for rows in (*score_rows(), *short_rows()):
        empty = (case.answer(rows) == -torch.inf).all(-1)
        require(not bool(empty.any()), f"banned every token of a row ({rows.kind})")


@check(
    "processor", remedy=f"leave -inf as it is; {BANS}; a step that forces tokens says so in expected_failures"
)
def never_revives_a_banned_token(case: Case) -> None:
    for rows in score_rows("with bans", "one left"):
        banned = rows.scores == -torch.inf
        require(
            bool((case.answer(rows)[banned] == -torch.inf).all()),
            f"gave a banned token a score ({rows.kind})",
        )


@check(
    "processor", "neutral", remedy="return `scores` when there is nothing to do, or give other neutral values"
)
def neutral_parameters_change_nothing(case: Case) -> None:
    idle = Case(case.spec, case.neutral or {})
    for rows in score_rows():
        unchanged = torch.equal(idle.answer(rows), rows.scores)
        require(unchanged, f"changed scores ({rows.kind}) with the neutral parameters {idle.values}")


@check(
    "processor", "argmax_invariant", remedy="drop the trait argmax_invariant, or keep the best token the best"
)
def keeps_the_best_token(case: Case) -> None:
    for rows in (*score_rows(), *short_rows()):
        row = unlike(case.answer(rows).argmax(-1), rows.scores.argmax(-1))
        require(
            row is None, f"has the trait argmax_invariant and moved the best token of row {row} ({rows.kind})"
        )


@check("step", remedy=f"work on a copy: scores.clone(), or scores.masked_fill; {BANS}")
def leaves_its_arguments_alone(case: Case) -> None:
    def inspect(call: Call) -> None:
        for name, before in call.before.items():
            require(torch.equal(before, call.after[name]), f"wrote into its argument {name}")

    for rows in (*score_rows(), *short_rows()):
        case.watch(rows, inspect)


CHECKS = (
    keeps_shape_dtype_and_device,
    gives_no_nan,
    never_masks_everything,
    never_revives_a_banned_token,
    neutral_parameters_change_nothing,
    keeps_the_best_token,
    leaves_its_arguments_alone,
)
