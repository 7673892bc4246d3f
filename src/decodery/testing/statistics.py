"""Does a sampler draw what its scores say? Pearson's chi-square against softmax(scores), without scipy."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..kernels.draw import inverse_cdf


def chi_square(counts: Tensor, probabilities: Tensor, least: float = 5.0) -> float:
    """The p-value that `counts` (V,) were drawn from `probabilities` (V,) float64.

    Cells that expect fewer than `least` draws are pooled; a draw outside the support gives 0.
    """
    counts, probabilities = counts.double(), probabilities.double()
    if bool((counts[probabilities == 0] > 0).any()):
        return 0.0
    expected = probabilities * counts.sum()
    small = expected < least
    seen = torch.cat((counts[~small], counts[small].sum().unsqueeze(0)))
    wanted = torch.cat((expected[~small], expected[small].sum().unsqueeze(0)))
    if wanted[-1] < least:  # what is left over is too little for a cell of its own
        seen[-2] += seen[-1]
        wanted[-2] += wanted[-1]
        seen, wanted = seen[:-1], wanted[:-1]
    statistic = ((seen - wanted) ** 2 / wanted).sum()
    freedom = torch.tensor(float(len(seen) - 1), dtype=torch.float64)
    return float(torch.special.gammaincc(freedom / 2, statistic / 2)) if len(seen) > 1 else 1.0


def draws(scores: Tensor, uniform: Tensor, draw: Callable[[Tensor, Tensor], Tensor] = inverse_cdf) -> Tensor:
    """(V,) scores, (N,) float64 uniforms -> (V,) int64: how often each token was drawn."""
    tokens = draw(scores.expand(len(uniform), -1), uniform)  # (V,) -> (N, V)
    return torch.bincount(tokens, minlength=scores.shape[-1])
