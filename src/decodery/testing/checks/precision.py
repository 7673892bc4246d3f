"""Half-precision models and float64 judges."""

from __future__ import annotations

import torch

from ..case import Case
from ..samples import Rows, score_rows
from .check import check, require

HALVES = (torch.float16, torch.bfloat16)


@check("processor", remedy="compute in the dtype of `scores`; subtract the maximum before exp")
def agrees_with_float64(case: Case) -> None:
    """The same scores in float64 give the same bans, and values equal to four digits."""
    for rows in score_rows("lm-like", "with bans", "far apart"):
        single, double = case.answer(rows), case.answer(rows.with_scores(rows.scores.double()))
        agree = torch.allclose(single.double(), double, rtol=1e-4, atol=1e-4, equal_nan=True)
        require(agree, f"answers float32 and float64 scores differently ({rows.kind})")


@check("processor", remedy="bear equal scores, and the lowest number of a dtype in the place of -inf")
def bears_rows_of_half_precision_models(case: Case) -> None:
    """Scores rounded to float16 or bfloat16, then made float32 as the engine does; tokens that the model itself
    switched off have the dtype's lowest number. The probabilities are those that float64 gives."""
    for half in HALVES:
        for rows in score_rows("lm-like", "with bans"):
            halved = _halved(rows, half)
            single = case.answer(halved)
            double = case.answer(halved.with_scores(halved.scores.double()))
            bad = single.isnan().any(-1) | (single == -torch.inf).all(-1)
            require(not bool(bad.any()), f"left nothing to draw from in a row of {half} scores ({rows.kind})")
            found, wanted = single.double().softmax(-1), double.softmax(-1)
            agree = torch.allclose(found, wanted, rtol=0, atol=1e-4, equal_nan=True)
            require(agree, f"answers {half} scores ({rows.kind}) differently in float32 and float64")


def _halved(rows: Rows, half: torch.dtype) -> Rows:
    lowest = torch.finfo(half).min
    scores = rows.scores.to(half)
    return rows.with_scores(scores.masked_fill(scores == -torch.inf, lowest).float())


CHECKS = (agrees_with_float64, bears_rows_of_half_precision_models)
