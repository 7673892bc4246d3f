"""One row's cuts and draws with numbers on the host, where a handful of candidates costs less than a tensor operation.

Twins of `rules` and `survivors`, of the same decisions; what is doubtful or rare is left to those.
"""

from __future__ import annotations

from bisect import bisect_left
from math import exp, inf, isfinite, log1p, nextafter

import torch
from torch import Tensor

from ..contracts.lowering import Truncation
from . import certificate
from .candidates import Candidates


def cut(found: Candidates, rule: Truncation) -> bool:
    """Apply a truncation to one row of candidates, all of them sure. False, and nothing done, where `rules` must."""
    if found.values.shape[0] != 1 or found.unsure is not None or isinstance(rule.value, Tensor):
        return False
    if rule.kind == "k":
        return _k(found, max(int(rule.value), rule.min_keep))
    return rule.kind == "mass" and found.whole and _mass(found, float(rule.value), rule.min_keep)


def inverse_cdf(found: Candidates, uniform: Tensor) -> tuple[Tensor, Tensor]:
    """As `survivors.inverse_cdf`, for one row without unsure tokens."""
    [values], [ids] = found.values.tolist(), found.ids.tolist()
    best = values[0]
    weights = sorted((token, exp(value - best)) for token, value in zip(ids, values, strict=True))
    total = 0.0
    for _, weight in weights:
        total += weight
    threshold = min(uniform.item() * total, nextafter(total, 0.0))
    slack = total * (certificate.LOOSE if found.loose else certificate.WEIGHT)
    upto = 0.0
    chosen = weights[-1][0]
    close = True  # NaN rows, which are flagged
    for token, weight in weights:
        below, upto = upto, upto + weight
        if upto > threshold:
            chosen, close = token, not (threshold - below > slack and upto - threshold > slack)
            break
    return torch.tensor([chosen]), found.flagged | close


def race(found: Candidates, uniforms: Tensor) -> tuple[Tensor, Tensor]:
    """As `survivors.race`, for one row without unsure tokens: (1, K) float64 uniforms."""
    [weights], [ids], [numbers] = found.weights().tolist(), found.ids.tolist(), uniforms.tolist()
    q = torch.tensor([-log1p(-number) for number in numbers]).tolist()  # rounded to float32
    first = second = -1.0
    chosen = ids[0]
    for token, weight, number in zip(ids, weights, q, strict=True):
        quotient = weight / number if number else inf
        if quotient > first:
            first, second, chosen = quotient, first, token
        elif not quotient <= second:
            second = quotient
    margin = certificate.RACE + (certificate.LOOSE if found.loose else 0.0)
    close = not (isfinite(first) and first * (1 - margin) > second)
    return torch.tensor([chosen]), found.flagged | close


def _k(found: Candidates, kept: int) -> bool:
    [values] = found.values.tolist()
    count = len(values)
    if kept < count:
        count = kept
        while count < len(values) and values[count] == values[kept - 1]:
            count += 1
    if (count == len(values) and not found.whole) or not isfinite(values[0]):
        return False
    _narrow(found, count)
    return True


def _mass(found: Candidates, value: float, min_keep: int) -> bool:
    weights = found.weights()
    cumulative = weights.cumsum(-1)
    [sums], [values] = cumulative.tolist(), found.values.tolist()
    total = sums[-1]
    [above] = cumulative.sub_(weights).tolist()  # what lies above each token
    sure = max(bisect_left(above, total * (value - certificate.MASS)), min_keep)
    possible = max(bisect_left(above, total * (value + certificate.MASS)), min_keep)
    possible = min(possible, len(values))
    if not isfinite(total) or min(sure, len(values)) != possible:
        return False
    if possible < len(values):
        if values[possible] == values[possible - 1]:
            return False
        _narrow(found, possible)
    return True


def _narrow(found: Candidates, count: int) -> None:
    found.values, found.ids, found.whole = found.values[:, :count], found.ids[:, :count], True
