"""One row whose candidates are numbers on the host: torch looks at the row once, Python at the few tokens that count.

Twins of `edits`, `candidates`, `rules` and `survivors`, of the same decisions in float32 and float64. What is doubtful
or rare is left to those: the answer is None then.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import exp, inf, isfinite, isnan, log1p, nan, nextafter

from torch import Tensor

from ..contracts.lowering import Map, Mode, Truncation
from . import certificate
from .backends import PARTS, array_of

KINDS = frozenset({"temperature", "k", "mass", "ratio"})
_DEEP = 32


@dataclass(slots=True)
class Known:
    """What one edit does to the row: `value(token)` is the edit's number for a token in `tokens`. `lowers`: it makes
    no score greater."""

    mode: Mode
    tokens: Container[int]
    value: Callable[[int], float]
    lowers: bool


@dataclass(slots=True)
class Few:
    """The best tokens of the row, values (float32) descending; what is not among them is at most `floor`, -inf where
    every token is here or banned. `weights` are exp(value - best), where a step has asked for them."""

    values: list[float]
    ids: list[int]
    floor: float
    weights: list[float] | None = None

    @property
    def whole(self) -> bool:
        return self.floor == -inf

    def narrow(self, count: int) -> None:
        """Only the best `count` stay."""
        self.floor = -inf
        if count < len(self.values):
            self.values, self.ids = self.values[:count], self.ids[:count]
            self.weights = None if self.weights is None else self.weights[:count]

    def weighed(self) -> list[float]:
        """As `Candidates.weights`."""
        if self.weights is None:
            best = self.values[0]
            self.weights = list(map(exp, _rounded([value - best for value in self.values])))
        return self.weights


def can(chain: Sequence[Map | Truncation]) -> bool:
    """Whether `few` and `cut` know every part of a chain; the first truncation must say how many stay."""
    first = next((part.kind for part in chain if isinstance(part, Truncation)), "")
    return first == "k" and all(part.kind in KINDS and not isinstance(part.value, Tensor) for part in chain)


def few(scores: Tensor, window: int) -> Few | None:
    """The `window` best tokens: (1, V) float32, contiguous. None where one of them is not finite.

    Maxima first, as `candidates.best_of`, of columns: every 1 / 32 of the row is a line, and lines are compared faster
    than neighbours.
    """
    vocab = scores.shape[1]
    columns = vocab // _DEEP
    end = columns * _DEEP
    if columns < 2 * window:
        best, at = scores.view(-1).topk(min(window, vocab))  # (V,) -> (K,)
        values, ids = best.tolist(), at.tolist()
    else:
        body = (scores if end == vocab else scores[:, :end]).view(_DEEP, columns)  # (1, V) -> (d, C)
        chosen = body.amax(0).topk(window).indices  # (d, C) -> (C,) -> (K,)
        best, at = body.index_select(1, chosen).view(-1).topk(window)  # (d, K) -> (d x K,) -> (K,)
        column: list[int] = chosen.tolist()
        values = best.tolist()
        ids = [place // window * columns + column[place % window] for place in at.tolist()]
        if end < vocab:
            values, ids = _with_tail(values, ids, scores[0, end:], end)
    if not isfinite(values[0]) or not isfinite(values[-1]):  # they descend, from NaN if there is one
        return None
    return Few(values, ids, -inf if window >= vocab else values[-1])


def edit(found: Few, known: Known) -> bool:
    """An edit that lowers: what was beneath the floor stays there. True where it touched any: `order` is due."""
    touched = [place for place, token in enumerate(found.ids) if token in known.tokens]
    if not touched:
        return False
    values, mode = found.values, known.mode
    new = []
    for place in touched:
        old, number = values[place], known.value(found.ids[place])
        if mode == "set":
            new.append(number)
        elif mode == "add":
            new.append(old + number)
        else:
            new.append(old * number if old < 0 else old / number)
    for place, value in zip(touched, _rounded(new), strict=True):
        values[place] = value
    return True


def order(found: Few) -> None:
    """Make the values descend again."""
    values, ids = found.values, found.ids
    places = sorted(range(len(values)), key=values.__getitem__, reverse=True)
    found.values, found.ids = [values[place] for place in places], [ids[place] for place in places]


def scale(found: Few, temperature: float) -> None:
    """A temperature."""
    divisor = _rounded([temperature])[0]
    *found.values, found.floor = _rounded([value / divisor for value in (*found.values, found.floor)])
    found.weights = None


def cut(found: Few, rule: Truncation) -> bool:
    """A truncation. False, and nothing done, where `rules` must."""
    value = rule.value
    if isinstance(value, Tensor) or not isfinite(found.values[0]):
        return False
    if rule.kind == "k":
        return _k(found, max(int(value), rule.min_keep))
    if not found.whole:
        return False
    return (_mass if rule.kind == "mass" else _ratio)(found, float(value), rule.min_keep)


def inverse_cdf(found: Few, uniform: float) -> int | None:
    """As `survivors.inverse_cdf`."""
    best = found.values[0]
    weights = sorted((token, exp(value - best)) for token, value in zip(found.ids, found.values, strict=True))
    sums = list(accumulate(weight for _, weight in weights))
    total = sums[-1]
    if not isfinite(total):
        return None
    threshold = min(uniform * total, nextafter(total, 0.0))
    slack = total * certificate.WEIGHT
    below = 0.0
    for (token, _), upto in zip(weights, sums, strict=True):
        if upto > threshold:
            return token if threshold - below > slack and upto - threshold > slack else None
        below = upto
    return None


def race(found: Few, uniforms: Sequence[float]) -> int | None:
    """As `survivors.race`; `uniforms` has the float64 u of each token in the order of `ids`."""
    first = second = -1.0
    chosen = -1
    numbers = _rounded([-log1p(-number) for number in uniforms])
    for token, weight, number in zip(found.ids, found.weighed(), numbers, strict=True):
        quotient = weight / number if number else inf
        if quotient > first:
            first, second, chosen = quotient, first, token
        elif not quotient <= second:
            second = quotient
    return chosen if isfinite(first) and first * (1 - certificate.RACE) > second else None


def best(scores: Tensor) -> tuple[int, float]:
    """The smallest id among the best, and its score: (1, V) float32, contiguous. A NaN wins, as in `Tensor.argmax`."""
    array = array_of(scores)
    if array is not None:
        token = int(array.argmax())
        return token, array.item(token)
    vocab = scores.shape[1]
    width = vocab // PARTS
    if width < PARTS:
        return _first(scores[0])
    end = width * PARTS
    parts = (scores if end == vocab else scores[:, :end]).view(PARTS, width)  # (1, V) -> (P, w)
    part = int(parts.amax(-1).argmax().item())  # (P, w) -> (P,) -> ()
    token, value = _first(parts[part])
    token += part * width
    if end < vocab and not isnan(value):
        other, rest = _first(scores[0, end:])
        if not rest <= value:
            return end + other, rest
    return token, value


def _first(line: Tensor) -> tuple[int, float]:
    """(N,): the place of its greatest, and that."""
    place = int(line.argmax().item())
    return place, line[place].item()


def _with_tail(
    values: list[float], ids: list[int], tail: Tensor, begin: int
) -> tuple[list[float], list[int]]:
    """The best of both, as many as there were; `tail` (T,) holds the tokens from `begin` on."""
    if float(tail.amax()) <= values[-1]:
        return values, ids
    rest: list[float] = tail.tolist()
    if any(map(isnan, rest)):
        return [nan], [begin]
    pairs = [*zip(values, ids, strict=True), *zip(rest, range(begin, begin + len(rest)), strict=True)]
    pairs.sort(key=lambda pair: -pair[0])
    return [value for value, _ in pairs[: len(ids)]], [token for _, token in pairs[: len(ids)]]


def _k(found: Few, kept: int) -> bool:
    values = found.values
    count = len(values)
    if kept < count:
        count = kept
        while count < len(values) and values[count] == values[kept - 1]:
            count += 1
    if not found.whole and (kept > len(values) or values[count - 1] <= found.floor):
        return False
    found.narrow(count)
    return True


def _mass(found: Few, value: float, min_keep: int) -> bool:
    values, sums = found.values, list(accumulate(found.weighed()))
    above = [0.0, *sums[:-1]]  # what lies above each token
    total = sums[-1]
    if not isfinite(total):
        return False
    sure = max(bisect_left(above, total * (value - certificate.MASS)), min_keep)
    possible = max(bisect_left(above, total * (value + certificate.MASS)), min_keep)
    return _prefix(found, min(sure, len(values)), min(possible, len(values)))


def _ratio(found: Few, value: float, min_keep: int) -> bool:
    weights = found.weighed()
    sure = max(sum(weight > value * (1 + certificate.RATIO) for weight in weights), min_keep)
    possible = max(sum(weight > value * (1 - certificate.RATIO) for weight in weights), min_keep)
    return _prefix(found, min(sure, len(weights)), min(possible, len(weights)))


def _prefix(found: Few, sure: int, possible: int) -> bool:
    """So many stay. False where rounding could decide, or an accident of the reference's sort among equals."""
    values = found.values
    if sure != possible or (possible < len(values) and values[possible] == values[possible - 1]):
        return False
    found.narrow(possible)
    return True


def _rounded(numbers: list[float]) -> list[float]:
    """To float32 and back. Of two float32 the float64 sum, product or quotient rounds to what float32 would give."""
    return array("f", numbers).tolist()
