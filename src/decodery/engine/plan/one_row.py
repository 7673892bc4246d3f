"""The fused end of a plan for a single row: a look at the row with torch, everything else with numbers on the host.

A dozen tensors' worth of overhead is most of what a step costs on a CPU. `Fused` is the twin that decides whatever is
None here.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

from torch import Tensor

from ...contracts.lowering import Map, Truncation
from ...kernels import alone, identical
from ...kernels.edits import changed
from ..rng import RowRng, TorchRng
from ..steps.apply import View
from .tail import BoundEdit

WIDEST = 256
"""So many candidates are as fast in tensors."""
ROOM = 16
"""Candidates beyond the window that may sink below it when edits lower them."""


class OneRow:
    """`edits` and `chain` are those of `Fused`; `able` says whether a row of such a plan can be tried at all."""

    def __init__(
        self, edits: Sequence[BoundEdit | Map], chain: Sequence[Map | Truncation], greedy: bool
    ) -> None:
        self._edits, self._chain = edits, chain
        bound = [part for part in edits if isinstance(part, BoundEdit)]
        self._room = ROOM if bound else 0
        plain = all(not isinstance(part.value, Tensor) for part in edits if isinstance(part, Map))
        if greedy:
            # A map can make equals of two tokens, and of equals a small p may keep another.
            cuts = all(isinstance(part, Truncation) and part.kind != "mass" for part in chain)
            self.able = cuts and len(bound) == len(edits)
        else:
            self.able = plain and alone.can(chain)

    def best(self, view: View, scores: Tensor) -> int | None:
        """(1, V) float32, contiguous -> the best token, the smallest id among equals."""
        token, value = alone.best(scores)
        if not isfinite(value):
            return None
        if len(self._edits) == 1 and isinstance(self._edits[0], BoundEdit):
            known = self._edits[0].known(view)
            if known is None or not known.lowers:
                return _best_of_edited(self._edits[0], known, view, scores, token, value)
            return None if token in known.tokens else token
        for part in self._edits:
            known = part.known(view) if isinstance(part, BoundEdit) else None
            if known is None or not known.lowers or token in known.tokens:
                return None
        return token

    def drawn(self, view: View, scores: Tensor, window: int, rng: RowRng | TorchRng) -> int | None:
        """(1, V) float32, contiguous -> a token; None with the generator where it was."""
        if window > WIDEST or (isinstance(rng, TorchRng) and not identical.holds()):
            return None
        found = self._survivors(view, scores, window)
        if found is None:
            return None
        if isinstance(rng, RowRng):
            return alone.inverse_cdf(found, rng.numbers_on_host()[0])
        begin = rng.state()
        token = alone.race(found, identical.uniforms_at(rng.generator, scores.shape[1], found.ids))
        if token is None:
            rng.restore(begin)
        return token

    def _survivors(self, view: View, scores: Tensor, window: int) -> alone.Few | None:
        found = alone.few(scores, window + self._room)
        if found is None:
            return None
        touched = False
        for part in self._edits:
            if isinstance(part, Map):
                alone.scale(found, float(part.value))
                continue
            known = part.known(view)
            if known is None or not known.lowers:
                return None
            touched = alone.edit(found, known) or touched
        if touched:
            alone.order(found)
        for step in self._chain:
            if isinstance(step, Map):
                alone.scale(found, float(step.value))
            elif not alone.cut(found, step):
                return None
        return found


def _best_of_edited(
    part: BoundEdit, known: alone.Known | None, view: View, scores: Tensor, token: int, value: float
) -> int | None:
    """The best token after an edit that may raise: `token` is the best before it, of this `value`."""
    ids, values = part.touched(view)
    if not ids.shape[1]:
        return token
    if not part.clean(scores.shape[1]):
        return None
    new = changed(scores.gather(-1, ids), values, part.mode)  # (1, V) -> (1, E)
    top = float(new.amax())
    if top > value and isfinite(top):
        return int(ids[new == top].amin())
    touched = bool((ids == token).any()) if known is None else token in known.tokens
    return token if top < value and not touched else None
