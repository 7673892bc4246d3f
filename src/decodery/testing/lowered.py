"""What a lowering says, done to whole rows in the plainest way: the judge of `lowering_equals_the_step`.

Written from the words of `contracts/lowering.py` alone, in float64 where a comparison decides, and in no hurry.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from ..contracts.lowering import Edit, Fixed, Lowered, Map, Seen, Truncation
from .samples import Rows

Kept = Callable[[Tensor, Truncation, Tensor], Tensor]


def apply_lowered(parts: Sequence[Lowered], rows: Rows) -> Tensor:
    """The scores (R, V) after the parts, one after another."""
    scores = rows.scores
    for part in parts:
        if isinstance(part, Edit):
            scores = _edited(part, scores, rows)
        elif isinstance(part, Map):
            scores = _mapped(part, scores)
        else:
            scores = _truncated(part, scores)
    return scores


def _edited(edit: Edit, scores: Tensor, rows: Rows) -> Tensor:
    result = scores.clone()
    # Where the mode is not "add" an id may occur again, with an equal value, and counts once.
    before = result if edit.mode == "add" else scores
    for row in range(len(scores)):
        for token, value in _edits(edit.source, rows, row):
            if 0 <= token < scores.shape[-1]:
                result[row, token] = _edit(edit.mode, before[row, token], value)
    return result


def _edit(mode: str, score: Tensor, value: float) -> Tensor:
    if mode == "add":
        return score + value
    if mode == "set":
        return torch.full_like(score, value)
    return score * value if score < 0 else score / value


def _edits(source: Any, rows: Rows, row: int) -> list[tuple[int, float]]:
    if isinstance(source, Fixed):
        values = source.values if len(source.values) > 1 else source.values * len(source.ids)
        return list(zip(source.ids, values, strict=True))
    if isinstance(source, Seen):
        text = _seen(source, rows, row)
        return [(token, source.value) for token in (text if source.times else dict.fromkeys(text))]
    if hasattr(source, "begin"):
        source.begin(rows.ids, rows.lengths)
    ids, values = source.edits(rows.ids, rows.lengths)
    ids = ids.expand(len(rows.ids), -1)  # (1, E) -> (R, E)
    pairs = zip(ids[row].tolist(), values.expand(ids.shape)[row].tolist(), strict=True)
    return [(token, value) for token, value in pairs if token >= 0]


def _seen(source: Seen, rows: Rows, row: int) -> list[int]:
    length, prompt = int(rows.lengths[row]), int(rows.prompt_lengths[row])
    first = 0 if source.padding is None else int(source.padding[row])
    if source.window is not None:
        first = max(first, length - source.window)
    begin, end = {"all": (0, length), "prompt": (0, prompt), "output": (prompt, length)}[source.scope]
    return [int(token) for token in rows.ids[row, max(first, begin) : end]]


def _mapped(part: Map, scores: Tensor) -> Tensor:
    if part.kind == "temperature":
        return scores / _column(part.value).to(scores)
    if part.kind == "renormalise":
        return scores.log_softmax(-1)
    if part.apply is None:
        raise ValueError("a custom map without apply")
    ordered, places = scores.sort(dim=-1, descending=True, stable=True)
    return torch.empty_like(scores).scatter(-1, places, part.apply(ordered).to(scores))


def _truncated(part: Truncation, scores: Tensor) -> Tensor:
    ordered, places = scores.double().sort(dim=-1, descending=True, stable=True)  # (R, V), the best first
    log_probs = ordered.log_softmax(-1)
    kept = _KEPT[part.kind](log_probs, part, ordered)
    kept[:, : part.min_keep] |= part.kind != "typical"
    kept = torch.zeros_like(kept).scatter(-1, places, kept)
    return scores.masked_fill(~kept, -torch.inf)


def _column(value: float | Tensor) -> Tensor:
    """A number as (), or (R,) as (R, 1); float64."""
    return (
        torch.as_tensor(value, dtype=torch.float64).reshape(-1, 1)
        if isinstance(value, Tensor)
        else torch.tensor(value).double()
    )


def _k(log_probs: Tensor, part: Truncation, ordered: Tensor) -> Tensor:
    wanted = torch.as_tensor(part.value).long().clamp(min=part.min_keep, max=ordered.shape[-1])
    last = ordered.gather(-1, wanted.reshape(-1, 1).expand(len(ordered), 1) - 1)
    return ordered >= last


def _mass(log_probs: Tensor, part: Truncation, ordered: Tensor) -> Tensor:
    tail = log_probs.exp().flip(-1).cumsum(-1).flip(-1)  # what this token and all that are less likely hold
    return tail > 1 - _column(part.value)


def _ratio(log_probs: Tensor, part: Truncation, ordered: Tensor) -> Tensor:
    probs = log_probs.exp()
    return probs >= _column(part.value) * probs[:, :1]


def _floor(log_probs: Tensor, part: Truncation, ordered: Tensor) -> Tensor:
    return log_probs.exp() >= _column(part.value)


def _eta(log_probs: Tensor, part: Truncation, ordered: Tensor) -> Tensor:
    value = _column(part.value)
    return log_probs.exp() >= torch.minimum(value, value.sqrt() * (-_entropy(log_probs)).exp())


def _sigma(log_probs: Tensor, part: Truncation, ordered: Tensor) -> Tensor:
    allowed = ordered > -torch.inf
    count = allowed.sum(-1, keepdim=True)
    mean = ordered.where(allowed, 0).sum(-1, keepdim=True) / count
    variance = (ordered - mean).where(allowed, 0).square().sum(-1, keepdim=True) / count
    return ordered >= ordered[:, :1] - _column(part.value) * variance.sqrt()


def _typical(log_probs: Tensor, part: Truncation, ordered: Tensor) -> Tensor:
    distance = (-log_probs - _entropy(log_probs)).abs()
    near, places = distance.sort(dim=-1, stable=True)
    mass = log_probs.exp().gather(-1, places).cumsum(-1)
    before = torch.nn.functional.pad(mass, (1, 0))[:, :-1]
    last = ((before < _column(part.value)).sum(-1, keepdim=True) - 1).clamp(min=part.min_keep - 1)
    return distance <= near.gather(-1, last.clamp(max=near.shape[-1] - 1))


def _custom(log_probs: Tensor, part: Truncation, ordered: Tensor) -> Tensor:
    if part.keep is None:
        raise ValueError("a custom truncation without keep")
    return part.keep(log_probs) > 0


def _entropy(log_probs: Tensor) -> Tensor:
    """(R, V) -> (R, 1), in nats."""
    return -(log_probs.exp() * log_probs.where(log_probs > -torch.inf, 0)).sum(-1, keepdim=True)


_KEPT: dict[str, Kept] = {
    "k": _k,
    "mass": _mass,
    "ratio": _ratio,
    "floor": _floor,
    "eta": _eta,
    "sigma": _sigma,
    "typical": _typical,
    "custom": _custom,
}
