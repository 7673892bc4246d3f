"""How many drafted tokens stay, and what follows them: the part that assisted decoding and prompt lookup share.

Leviathan, Kalman and Matias 2022 (arXiv 2211.17192): a token x drafted from q is kept with probability
min(1, p(x) / q(x)); where one is not, the next token is drawn from max(p - q, 0), renormalised. The text then has the
distribution p of the model, whatever q was. p and q are distributions after all processors.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ...contracts.protocols import Run


def judge(
    run: Run, scores: Tensor, drafts: Tensor, widths: Tensor, drafted: list[Tensor] | None, do_sample: bool
) -> tuple[Tensor, Tensor]:
    """(counts (R,) int64, following (R,) int64): how many drafts each row keeps, and its next token.

    scores   (R, K + 1, V) processed, from `run.verify`
    drafts   (R, K) int64, of which row r has `widths[r]`, (R,) int64
    drafted  K of (R, V), the scores that the drafts were drawn from; None where they were not drawn at all
    """
    places = torch.arange(drafts.shape[1], device=drafts.device)
    inside = places < widths.unsqueeze(1)  # (K,) < (R, 1) -> (R, K)
    if not do_sample:
        best = scores.argmax(-1)  # (R, K + 1, V) -> (R, K + 1)
        counts = leading(inside & (drafts == best[:, :-1]))
        return counts, best.gather(1, counts.unsqueeze(1)).squeeze(1)  # (R, 1) -> (R,)
    kept = torch.zeros_like(inside)
    for place in range(drafts.shape[1]):
        token = drafts[:, place : place + 1]  # (R, 1)
        p = scores[:, place].softmax(-1).gather(1, token).squeeze(1)
        q = torch.ones_like(p) if drafted is None else drafted[place].softmax(-1).gather(1, token).squeeze(1)
        kept[:, place] = run.uniform("accept", ahead=place) * q < p
    counts = leading(inside & kept)
    following = torch.zeros_like(counts)
    for place in sorted(set(counts.tolist())):
        left = scores[:, place]
        if place < drafts.shape[1]:
            rest = remainder(left, drafts[:, place], None if drafted is None else drafted[place])
            left = torch.where((widths == place).unsqueeze(1), left, rest)  # (R,) -> (R, 1)
        # Nothing can be drawn from a bad row, and `accept` is who says so.
        left = left.masked_fill(~left.amax(-1, keepdim=True).isfinite(), 0.0)
        drawn = run.rng.categorical(left, "residual", ahead=place)
        following = torch.where(counts == place, drawn, following)
    return counts, following


def leading(kept: Tensor) -> Tensor:
    """(R, K) bool -> (R,) int64: how many stand true before the first false."""
    return kept.long().cumprod(-1).sum(-1)


def remainder(scores: Tensor, token: Tensor, drafted: Tensor | None) -> Tensor:
    """(R, V) scores of max(p - q, 0); q is softmax(drafted), or certain of `token` (R,)."""
    if drafted is None:
        rest = scores.scatter(1, token.unsqueeze(1), -torch.inf)
    else:
        rest = (scores.softmax(-1) - drafted.softmax(-1)).clamp(min=0).log()
    # Nothing is left where p = q to the last bit, and then rounding alone can have refused the token.
    return torch.where((rest == -torch.inf).all(-1, keepdim=True), scores, rest)
