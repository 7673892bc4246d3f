"""What a stop rule answers."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from ..case import Call, Case
from ..samples import PAD, ragged_rows, score_rows, short_rows
from .check import check, require

# Rules with a greater limit are taken at their word: a history that long would be slow to make.
LONGEST = 2000


@check("stop", remedy="return a bool tensor (R,) on the device of the ids, or a plain bool for all rows")
def answers_a_bool_a_row(case: Case) -> None:
    def inspect(call: Call) -> None:
        ids, result = call.before["input_ids"], call.result
        if isinstance(result, bool):
            return
        require(isinstance(result, Tensor), f"returned {type(result).__name__}")
        wanted = ((len(ids),), torch.bool, ids.device)
        got = (tuple(result.shape), result.dtype, result.device)
        require(got == wanted, f"returned a tensor of {got} instead of {wanted}")

    for rows in (*score_rows("lm-like"), *short_rows()):
        case.watch(rows, inspect)


@check(
    "stop", "limit", remedy="let limit return the length (R,) int64 at which the rule says stop at the latest"
)
def stops_at_its_limit(case: Case) -> None:
    """Buffers and caches are allocated for the limit, so a row must end there."""
    for rows in ragged_rows():
        bound = case.bind(rows)
        alone = len(bound.instances) == len(rows.lengths)
        for row, prompt_length in enumerate(rows.prompt_lengths.tolist()):
            limit = bound.instances[row if alone else 0].limit(torch.tensor([prompt_length]))
            is_length = isinstance(limit, Tensor) and limit.shape == (1,) and limit.dtype == torch.int64
            require(is_length, f"has a limit {limit!r}, which is no LongTensor of a length a row")
            length = int(limit)
            require(
                length > prompt_length,
                f"has the limit {length} for a prompt of {prompt_length}: no token fits",
            )
            if length <= LONGEST:
                one = rows.take([row])
                long = torch.full((1, length), PAD)
                kept = min(length, one.ids.shape[1])
                long[:, :kept] = one.ids[:, :kept]
                grown = replace(one, ids=long, lengths=torch.tensor([length]))
                ended = bool(case.answer(grown, case.bind(one))[0])
                require(ended, f"has the limit {length} for a prompt of {prompt_length} and goes on there")


@check("stop", "ids_only", remedy="take the trait `ids_only` away from a rule that looks at scores")
def looks_at_ids_alone(case: Case) -> None:
    """Strategies that rank candidates themselves show such a rule scores of no columns."""
    for rows in ragged_rows():
        wanted = case.answer(rows)
        shown = replace(rows, scores=rows.scores[:, :0])  # (R, V) -> (R, 0)
        require(
            bool((case.answer(shown, case.bind(rows)) == wanted).all()),
            "answers otherwise where it is shown no scores",
        )


CHECKS = (answers_a_bool_a_row, stops_at_its_limit, looks_at_ids_alone)
