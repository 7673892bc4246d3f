"""The backend in the box: pure torch, always there."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from ..contracts.lowering import Map, Truncation
from . import identical, mass, survivors
from .backends import Chain
from .candidates import Candidates, best_of
from .rules import column, truncate

EACH = frozenset({"k", "ratio"})
"""Truncations that need no sum over the row."""


class TorchBackend:
    """Block maxima, one window, and the rest on the candidates.

    In inference mode, which takes a fifth off each of many small operations; the tokens that come out know of gradients
    again. `alone`: one row may be decided on the host, see `alone`.
    """

    alone: ClassVar[bool] = True
    name: ClassVar[str] = "torch"
    devices: ClassVar[frozenset[str]] = frozenset({"cpu"})
    dtypes: ClassVar[frozenset[torch.dtype]] = frozenset({torch.float32})

    def refuses(self, chain: Chain) -> str:
        return refuses(chain)

    @torch.inference_mode()
    def truncate(self, scores: Tensor, chain: Chain, window: int) -> Candidates:
        found = best_of(scores, window)
        temperature: float | Tensor | None = None

        def stats(found: Candidates, which: str) -> Tensor:
            best = found.values[:, :1]
            if which == "spread":
                return mass.spread(scores, best, temperature)
            if which == "mass":
                return mass.log_mass(scores, best, temperature)
            found.log_mass, heat = mass.entropy(scores, best, temperature)
            return heat

        for part in chain:
            if isinstance(part, Truncation):
                truncate(found, part, stats)
            else:
                apply_map(found, part)
                if part.kind == "temperature" and not found.whole:
                    value = column(part.value)
                    temperature = value if temperature is None else temperature * value
        found.flagged = found.flagged | ~found.values[:, 0].isfinite()
        return found

    def draw_row(self, found: Candidates, uniform: Tensor) -> tuple[Tensor, Tensor]:
        with torch.inference_mode():
            tokens, flags = survivors.inverse_cdf(found, uniform)
        return tokens.clone(), flags

    def draw_torch(
        self, found: Candidates, vocab: int, generator: torch.Generator | None
    ) -> tuple[Tensor, Tensor]:
        with torch.inference_mode():
            exponentials = identical.exponentials_at(generator, vocab, found.ids)
            tokens, flags = survivors.race(found, exponentials)
        return tokens.clone(), flags


def refuses(chain: Chain) -> str:
    """Why no backend can begin with a window here; "" if one can."""
    first = next((part for part in chain if isinstance(part, Truncation)), None)
    if first is None:
        return "nothing is cut, so every token is a candidate"
    if first.kind == "custom" and first.reach == "allowed":
        return "the first cut looks at every token"
    for part in chain:
        if part is first:
            return ""
        if part.kind == "renormalise" or (
            part.kind == "custom" and (part.reach == "allowed" or first.kind not in EACH)
        ):
            return f"the map {part.kind!r} before the first cut looks at every token"
    return ""


def apply_map(found: Candidates, part: Map) -> None:
    """One map on the candidates, in the operations of the reference."""
    if part.kind == "temperature":
        found.values = found.values / column(part.value)
    elif part.kind == "renormalise":
        best = found.values[:, :1]
        log_mass = found.weights().sum(-1, keepdim=True).log()
        found.values = ((found.values - best).double() - log_mass).to(found.values.dtype)
        found.loose = True
    elif part.apply is not None:
        found.values = part.apply(found.values)
        found.loose = found.loose or part.reach == "allowed"
