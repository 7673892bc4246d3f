"""Fill in the middle: tokens that begin alike vote together, and the end comes early."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, log

import torch
from torch import Tensor

from decodery.contracts.protocols import Tokenizer

from ..rows.filters import descending, probabilities
from .tokens import vocabulary

EAGER = 3.0
"""The end is chosen when `EAGER * candidates * p(end)` exceeds the rest."""
LIKELY = 0.2


def infill(p: Sequence[float], texts: Sequence[str], ends: Sequence[bool]) -> list[float]:
    """New probabilities, not normalised, of candidates sorted by falling `p`; 0 bans. llama.cpp's infill sampler.

    1. Where the end of the text is likely enough, only that stays. 2. Of two candidates, one the beginning of the
    other, the likelier gets both probabilities. 3. What is then below 0.2 goes, and of the rest what is below
    1 / (number of texts + 1); ends stay. Without any text left the end comes, in whatever shape is likeliest.
    """
    ending = sum(one for one, end in zip(p, ends, strict=True) if end)
    alone = [one if end else 0.0 for one, end in zip(p, ends, strict=True)]
    if ending * EAGER * len(p) > sum(p) - ending:
        return alone
    merged = _merged(p, texts)
    kept = _at_least(merged, ends, LIKELY)
    count = sum(1 for one, end in zip(kept, ends, strict=True) if one and not end)
    if not count:
        return alone if ending else kept
    total = sum(kept)
    return _at_least([one / total for one in kept], ends, 1 / (count + 1))


def _merged(p: Sequence[float], texts: Sequence[str]) -> list[float]:
    merged, gone = list(p), [False] * len(p)
    for first, beginning in enumerate(texts):
        for second, text in enumerate(texts):
            if gone[first]:
                break
            if first == second or gone[second] or not beginning or not text.startswith(beginning):
                continue
            to, other = (second, first) if merged[second] > merged[first] else (first, second)
            merged[to] += merged[other]
            merged[other], gone[other] = 0.0, True
    return merged


def _at_least(p: Sequence[float], ends: Sequence[bool], bound: float) -> list[float]:
    return [one if end or one >= bound else 0.0 for one, end in zip(p, ends, strict=True)]


class Infill:
    """To be put behind a top-k or top-p: it compares every two of the tokens that are left, `most` at most (the
    likeliest; the others go)."""

    def __init__(self, *, tokenizer: Tokenizer, eos: Sequence[int], most: int = 256) -> None:
        self.words, self.eos, self.most = vocabulary(tokenizer), frozenset(eos), most

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """(R, T) int64, (R, V) float -> (R, V) logs of probabilities."""
        order = descending(scores)[1][:, : self.most]  # (R, V) -> (R, K)
        chances = probabilities(scores).gather(-1, order).tolist()
        rows = [self._row(p, ids) for p, ids in zip(chances, order.tolist(), strict=True)]
        values = torch.tensor(rows, dtype=scores.dtype, device=scores.device)
        return torch.full_like(scores, -inf).scatter(-1, order, values)

    def _row(self, p: list[float], ids: list[int]) -> list[float]:
        left = [one for one in p if one > 0]
        texts = [self.words.text([token]) for token in ids[: len(left)]]
        ends = [token in self.eos for token in ids[: len(left)]]
        found = infill(left, texts, ends)
        if not any(found):  # nothing was likely, and no end is allowed: the likeliest
            found = [left[0], *[0.0] * (len(left) - 1)]
        return [log(one) if one else -inf for one in found] + [-inf] * (len(p) - len(left))
