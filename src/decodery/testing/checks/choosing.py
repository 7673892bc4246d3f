"""What a per-token strategy chooses."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from ..case import Case
from ..samples import score_rows
from .check import check, require

KEYS = 5


@check("choose", remedy="return a LongTensor (R,) of tokens whose score is not -inf")
def chooses_within_the_support(case: Case) -> None:
    for rows in score_rows():
        for offset in range(KEYS):
            tokens = case.choose(replace(rows, keys=rows.keys + offset))
            require(isinstance(tokens, Tensor), f"returned {type(tokens).__name__} instead of a tensor")
            got, wanted = (tuple(tokens.shape), tokens.dtype), ((len(rows.keys),), torch.int64)
            require(got == wanted, f"returned a tensor of {got} instead of {wanted}")
            known = bool(((tokens >= 0) & (tokens < rows.scores.shape[-1])).all())
            require(known, f"chose a token outside the vocabulary ({rows.kind})")
            allowed = rows.scores.gather(1, tokens[:, None]) > -torch.inf
            require(bool(allowed.all()), f"chose a banned token ({rows.kind})")


@check("choose", remedy="draw from the `rng` that choose is handed, and from nothing else")
def choice_repeats(case: Case) -> None:
    """The same scores and the same random numbers give the same tokens."""
    for rows in score_rows():
        repeated = torch.equal(case.choose(rows), case.choose(rows))
        require(repeated, f"chose other tokens the second time ({rows.kind})")


@check("choose", remedy="reduce over the last dimension only")
def choice_does_not_depend_on_the_batch(case: Case) -> None:
    for rows in score_rows():
        together = case.choose(rows)
        for order in ([0], [1], [2], [3], [3, 1, 0, 2]):
            equal = torch.equal(case.choose(rows.take(order)), together[order])
            require(equal, f"chose other tokens for rows {order} alone than in their batch ({rows.kind})")


@check("choose", remedy="work on a copy: scores.clone()")
def leaves_the_scores_alone(case: Case) -> None:
    for rows in score_rows():
        scores = rows.scores.clone()
        case.choose(rows, scores)
        require(torch.equal(scores, rows.scores), f"wrote into the scores ({rows.kind})")


@check("choose", "draws_argmax", remedy="declare draw='custom', or return scores.argmax(-1)")
def draw_is_argmax(case: Case) -> None:
    """The planner replaces it by a fused argmax."""
    for rows in score_rows():
        equal = torch.equal(case.choose(rows), rows.scores.argmax(-1))
        require(equal, f"declares draw='argmax' and chose another token ({rows.kind})")


@check("choose", "draws_categorical", remedy="declare draw='custom', or return rng.categorical(scores)")
def draw_is_categorical(case: Case) -> None:
    """The planner replaces it by a fused draw."""
    for rows in score_rows():
        equal = torch.equal(case.choose(rows), rows.facts().rng.categorical(rows.scores))
        require(equal, f"declares draw='categorical' and drew otherwise ({rows.kind})")


CHECKS = (
    chooses_within_the_support,
    choice_repeats,
    choice_does_not_depend_on_the_batch,
    leaves_the_scores_alone,
    draw_is_argmax,
    draw_is_categorical,
)
