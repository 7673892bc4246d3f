"""The truncations on a candidate set. Each bans what its reference would ban; what rounding decides it marks unsure.

The reference is the step's own torch function on the whole row; `contracts.lowering.Truncation` has the formulas.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..contracts.lowering import Truncation
from . import certificate
from .candidates import Candidates

Stats = Callable[[Candidates, str], Tensor]
"""A statistic of the whole row for a window: "mass", "entropy" or "spread", (R,) float64."""


def column(value: float | Tensor) -> float | Tensor:
    """A parameter a row as (R, 1)."""
    return value.unsqueeze(-1) if isinstance(value, Tensor) else value


def truncate(found: Candidates, rule: Truncation, stats: Stats) -> None:
    """Apply one truncation. `stats` is asked about a window's whole row only."""
    if found.unsure is not None and rule.kind != "ratio":
        # What stays could change what this rule counts or sums. Only the best token matters to a ratio.
        found.flagged = found.flagged | found.unsure.any(-1)
    _RULES[rule.kind](found, rule, stats)
    found.close()


def _k(found: Candidates, rule: Truncation, stats: Stats) -> None:
    if isinstance(rule.value, Tensor):
        last = rule.value.long().clamp(min=rule.min_keep, max=found.values.shape[1]) - 1
        found.ban(found.values < found.values.gather(-1, last.unsqueeze(-1)))  # (R,) -> (R, 1)
        return
    kept = max(int(rule.value), rule.min_keep)
    if kept < found.values.shape[1]:
        found.ban(found.values < found.values[:, kept - 1 : kept])


def _mass(found: Candidates, rule: Truncation, stats: Stats) -> None:
    weights = found.weights()
    total = weights.sum(-1, keepdim=True) if found.whole else stats(found, "mass").exp().unsqueeze(-1)
    # What lies at a token and below it, which the reference sums from the other end.
    tail = 1 - (weights.cumsum(-1) - weights) / total
    bound = 1 - column(rule.value)
    first = torch.arange(found.values.shape[1], device=tail.device) < rule.min_keep  # (K,)
    sure = (tail > bound + certificate.MASS) | first
    possible = (tail > bound - certificate.MASS) | first
    # Both are prefixes. Tokens that tie with the last kept and with the first banned are all unsure: transformers'
    # sort is not stable.
    last = found.values.gather(-1, possible.sum(-1, keepdim=True) - 1)
    after = sure.sum(-1, keepdim=True)
    end = found.values.shape[1]
    doubtful = found.values.gather(-1, after.clamp(max=end - 1)).masked_fill(after == end, -torch.inf)
    banned = found.values < last
    found.ban(banned)
    _doubt(found, (found.values <= doubtful) & ~banned)


def _ratio(found: Candidates, rule: Truncation, stats: Stats) -> None:
    ratio = found.weights()
    bound = column(rule.value)
    sure = ratio > bound * (1 + certificate.RATIO)
    possible = ratio > bound * (1 - certificate.RATIO)
    _keep_best(found, rule.min_keep, sure, possible, ties_stay=False)


def _floor(found: Candidates, rule: Truncation, stats: Stats) -> None:
    _at_least(found, rule, column(rule.value), certificate.FLOOR, stats)


def _eta(found: Candidates, rule: Truncation, stats: Stats) -> None:
    heat = _entropy(found, stats).unsqueeze(-1)  # (R,) -> (R, 1)
    epsilon = torch.as_tensor(column(rule.value), dtype=torch.float64, device=heat.device)
    bound = torch.minimum(epsilon, epsilon.sqrt() * (-heat).exp())
    _at_least(found, rule, bound, certificate.FLOOR + certificate.ENTROPY * (1 + heat), stats)


def _at_least(
    found: Candidates, rule: Truncation, bound: float | Tensor, margin: float | Tensor, stats: Stats
) -> None:
    log_mass = _log_mass(found, stats)
    probs = found.weights() / log_mass.exp().unsqueeze(-1)
    _keep_best(
        found, rule.min_keep, probs > bound * (1 + margin), probs > bound * (1 - margin), ties_stay=True
    )


def _sigma(found: Candidates, rule: Truncation, stats: Stats) -> None:
    best = found.values[:, :1]
    if found.whole:
        allowed = found.values > -torch.inf
        distance = (found.values - best).double().masked_fill(~allowed, 0.0)
        count = allowed.sum(-1)
        mean = distance.sum(-1) / count
        deviation = (distance.square().sum(-1) / count - mean.square()).clamp(min=0.0).sqrt()
    else:
        deviation = stats(found, "spread")
    reach = column(rule.value) * deviation.unsqueeze(-1)  # (R,) -> (R, 1)
    over = (found.values - best).double() + reach
    margin = certificate.SIGMA * (1e-2 + reach) + 1e-6 * best.double().abs()
    _keep_best(found, rule.min_keep, over > margin, over > -margin, ties_stay=True)


def _custom(found: Candidates, rule: Truncation, stats: Stats) -> None:
    if rule.keep is None:
        return
    log_probs = (found.values - found.values[:, :1]).double() - _log_mass(found, stats).unsqueeze(-1)
    margin = rule.keep(log_probs)
    sure, possible = margin > certificate.CUSTOM, ~(margin <= -certificate.CUSTOM)
    found.flagged = found.flagged | margin.isnan().any(-1)
    _keep_best(found, rule.min_keep, sure, possible, ties_stay=False)
    if rule.reach == "allowed":
        found.reorder()


def _typical(found: Candidates, rule: Truncation, stats: Stats) -> None:
    heat = _entropy(found, stats).unsqueeze(-1)
    log_mass = _log_mass(found, stats).unsqueeze(-1)
    surprise = log_mass - (found.values - found.values[:, :1]).double()
    distance, order = (surprise - heat).abs().sort(dim=-1)
    probs = (found.weights() / log_mass.exp()).gather(-1, order).cumsum(-1)
    bound, end = column(rule.value), found.values.shape[1] - 1
    low = (probs < bound - certificate.MASS).sum(-1, keepdim=True).clamp(max=end)
    high = (probs < bound + certificate.MASS).sum(-1, keepdim=True).clamp(max=end)
    near, far = distance.gather(-1, low), distance.gather(-1, high)
    blur = 4 * certificate.ENTROPY * (1 + heat)
    away = surprise - heat
    away = away.abs()
    # One token (or several with one score) at the cut, and no other near it: the order there is beyond doubt.
    crowd = ((away - near).abs() <= blur) & (away != near)
    clear = (low == high) & ~crowd.any(-1, keepdim=True)
    sure = torch.where(clear, away <= near, away <= near - blur)
    possible = torch.where(clear, away <= near, away <= far + blur)
    if rule.min_keep > 1:
        kept = min(rule.min_keep, end + 1)
        last = distance[:, kept - 1 : kept]
        beyond = distance[:, min(kept, end) : min(kept, end) + 1]
        sure = sure | ((away <= last) & ((beyond - last > blur) | (away < last - blur)))
        possible = possible | (away <= last + blur)
    if not found.whole:
        # Beyond the window surprise only rises: what is there goes if the window's last does, on the far side of H.
        found.outgrown = ~(surprise[:, -1:] - heat > far + blur).squeeze(-1)
        found.flagged = found.flagged | found.outgrown
        found.whole = True
    found.flagged = found.flagged | heat.squeeze(-1).isnan()
    possible = possible & (found.values > -torch.inf)
    found.ban(~possible)
    _doubt(found, possible & ~sure)
    found.reorder()


def _keep_best(found: Candidates, min_keep: int, sure: Tensor, possible: Tensor, *, ties_stay: bool) -> None:
    """Ban what is not possible, except the `min_keep` best. Where ties do not all stay, which of several that tie at
    the end of those best are kept is an accident of the reference's sort."""
    end = found.values.shape[1]
    last = found.values[:, min(min_keep, end) - 1 : min(min_keep, end)]
    best = found.values >= last
    banned = ~(possible | best)
    doubt = possible & ~sure & ~best
    if not ties_stay and 1 < min_keep < end:
        split = (found.values[:, min_keep : min_keep + 1] == last) & (last > -torch.inf)
        doubt = doubt | (split & (found.values == last) & ~sure)
    found.ban(banned)
    _doubt(found, doubt)


def _doubt(found: Candidates, unsure: Tensor) -> None:
    unsure = unsure & (found.values > -torch.inf)
    found.unsure = unsure if found.unsure is None else found.unsure | unsure


def _log_mass(found: Candidates, stats: Stats) -> Tensor:
    if found.whole:
        return found.weights().sum(-1).log()
    if found.log_mass is None:
        found.log_mass = stats(found, "mass")
    return found.log_mass


def _entropy(found: Candidates, stats: Stats) -> Tensor:
    if not found.whole:
        return stats(found, "entropy")
    weights = found.weights()
    total = weights.sum(-1)
    distance = (found.values - found.values[:, :1]).double().clamp(min=-750.0)
    return total.log() - (weights * distance).sum(-1) / total


_RULES = {
    "k": _k,
    "mass": _mass,
    "ratio": _ratio,
    "floor": _floor,
    "eta": _eta,
    "sigma": _sigma,
    "typical": _typical,
    "custom": _custom,
}
