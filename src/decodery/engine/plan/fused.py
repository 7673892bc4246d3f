"""The fused end of a plan: edits, then maps and truncations on a candidate set, then the draw.

Whatever rounding could decide is flagged and drawn again by the steps themselves, so that the tokens and the random
numbers are the reference's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import Any

import torch
from torch import Tensor

from ...contracts.lowering import Edit, Map, Truncation
from ...kernels import survivors
from ...kernels.answers import Singles
from ...kernels.backends import OUTGROWN, Backend, OneCall, Picked, argmax
from ...kernels.candidates import best_of
from ...kernels.draw import bad_rows, inverse_cdf, multinomial
from ...kernels.edits import edit
from ...kernels.torch_backend import apply_map
from ..rng import RowRng, TorchRng
from ..steps.apply import BoundStep, Together, View
from .one_row import OneRow
from .tail import BoundEdit, Tail
from .windows import Windows

KEEPS_BEST = frozenset({"k", "ratio", "floor", "eta", "sigma"})
"""Truncations that leave every best token: greedy passes them by."""


def as_scores(logits: Tensor) -> Tensor:
    """(R, V) of any float dtype -> float32, or float64 as it is: filters and draws lose tokens in half precision."""
    return logits if logits.dtype in (torch.float32, torch.float64) else logits.float()


class Fused:
    """One tail with one backend. `fallbacks` counts the rows that the steps themselves decided. `shared`: several
    threads may use it at once."""

    def __init__(
        self,
        steps: Sequence[BoundStep],
        tail: Tail,
        edits: Sequence[BoundEdit | Map],
        backend: Backend,
        greedy: bool,
        shared: bool,
    ) -> None:
        self._steps, self._tail, self._edits, self._backend = steps, tail, edits, backend
        self._greedy, self._shared = greedy, shared
        self._greatest = max((part.greatest for part in edits if isinstance(part, BoundEdit)), default=-1)
        self._own_steps = () if tail.chain_begin is None else tuple(steps[tail.chain_begin :])
        # A few rows can be decided again alone where their steps look at nothing but scores.
        self._by_rows = tail.chain_begin is not None and all(
            isinstance(step, Together) and step.stateless for step in self._own_steps
        )
        self._windows = Windows(tail.chain)
        self._bound = [part for part in edits if isinstance(part, BoundEdit)]
        self._once: OneCall | None = None
        make = getattr(backend, "one_call", None)
        if make is not None and len(self._bound) == len(edits):
            self._once = make([part.mode for part in self._bound], tail.chain, greedy)
        one = OneRow(edits, tail.chain, greedy)
        self._one = one if one.able and getattr(backend, "alone", False) else None
        self._scratch: Tensor | None = None
        self._singles = Singles()
        self.fallbacks = 0

    @property
    def looks(self) -> bool:
        """Whether any step will look at the text; one that does not will not later."""
        return any(part.looks for part in self._bound)

    def pick(self, view: View, scores: Tensor, rng: RowRng | TorchRng) -> Tensor | None:
        """(R, V) before the tail -> (R,) int64, or None, nothing drawn, where the steps must be asked."""
        vocab = scores.shape[1]
        if self._greatest >= vocab:
            return None
        if self._once is not None and not self._windows.pause:
            picked = self._asked(self._once, view, scores, rng)
            if picked is not None:
                tokens, flags = picked
                return tokens if flags is None else self._of_flagged(view, scores, tokens, flags, rng)
        window = 1 if self._greedy else self._windows.next(vocab)
        if window is None:
            return None
        if self._one is not None and scores.shape[0] == 1:
            token = self._alone(self._one, view, scores, window, rng)
            if token is not None:
                return self._singles.of(token)
        work = self._edited(view, scores)
        if self._greedy:
            return self._best(work)
        return self._drawn(view, work, window, rng)

    def one(self, view: View, scores: Tensor, rng: Any) -> int | None:
        """`pick` of a row alone, (1, V), as a number; None, nothing drawn, where `pick` must decide."""
        if self._once is not None:
            if self._windows.pause or self._greatest >= scores.shape[1]:
                return None
            picked = self._asked(self._once, view, scores, rng)
            return None if picked is None or picked[1] is not None else int(picked[0].item())
        vocab = scores.shape[1]
        window = 1 if self._greedy else self._windows.next(vocab)
        if self._one is None or window is None or self._greatest >= vocab:
            return None
        return self._alone(self._one, view, scores, window, rng)

    def _alone(
        self, one: OneRow, view: View, scores: Tensor, window: int, rng: RowRng | TorchRng
    ) -> int | None:
        if scores.dtype is not torch.float32 or not scores.is_contiguous():
            return None
        return one.best(view, scores) if self._greedy else one.drawn(view, scores, window, rng)

    def _asked(self, once: OneCall, view: View, scores: Tensor, rng: RowRng | TorchRng) -> Picked | None:
        """A backend's one call."""
        touched = [part.touched(view) for part in self._bound]
        if self._greedy:
            return once.best(scores, touched)
        if isinstance(rng, RowRng):
            return once.row(scores, touched, rng.counters())
        return once.torch(scores, touched, rng.generator or torch.default_generator)

    def _of_flagged(
        self, view: View, scores: Tensor, tokens: Tensor, flags: Tensor, rng: RowRng | TorchRng
    ) -> Tensor | None:
        """What is left to do for the rows that one call has flagged."""
        if self._greedy:
            self.fallbacks += int((flags != 0).sum())
            return None
        self._windows.remember(flags == OUTGROWN)
        uniform = rng.uniform_on_host() if isinstance(rng, RowRng) else None
        return self._again(view, self._edited(view, scores), tokens, flags, rng, uniform)

    def _edited(self, view: View, scores: Tensor) -> Tensor:
        """The scores after the head, in a buffer of the run's own: the one temporary as large as the scores."""
        if not self._edits:
            known = scores.dtype in self._backend.dtypes and not self._greedy
            return (scores if known else as_scores(scores)).contiguous()
        if self._shared:  # by threads
            work = torch.empty(scores.shape).copy_(scores)
        else:
            if self._scratch is None or self._scratch.shape != scores.shape:
                with torch.inference_mode(False):
                    self._scratch = torch.empty(scores.shape)
            work = self._scratch.copy_(scores)
        own = getattr(self._backend, "edit", None)
        for part in self._edits:
            if isinstance(part, BoundEdit):
                ids, values = part.touched(view)
                if own is not None:
                    own(work, ids, values, part.mode)
                else:
                    edit(work, ids, values, part.mode, clean=part.clean(work.shape[1]))
            elif part.kind == "temperature":
                value = part.value.unsqueeze(-1) if isinstance(part.value, Tensor) else part.value
                work.div_(value)
        return work

    # -- greedy -----------------------------------------------------------------------------------------------

    def _best(self, work: Tensor) -> Tensor | None:
        maps = [part for part in self._tail.chain if isinstance(part, Map)]
        mass = any(isinstance(part, Truncation) and part.kind == "mass" for part in self._tail.chain)
        if not maps and not mass:
            tokens = getattr(self._backend, "argmax", argmax)(work)
            best: list[float] = work.gather(-1, tokens.unsqueeze(-1)).view(-1).tolist()  # (R, 1) -> (R,)
            return tokens if all(map(isfinite, best)) else None
        found = best_of(work, 8)
        if mass:
            # Of several best tokens a small p may keep one, and which one is an accident of the sort.
            found.flagged = found.flagged | (found.values[:, :1] == found.values[:, 1:2]).all(-1)
        for part in maps:
            apply_map(found, part)
        tokens, flags = survivors.best(found, nearly=bool(maps))
        flags = flags | ~found.values[:, 0].isfinite()
        if bool(flags.any()):
            self.fallbacks += int(flags.sum())
            return None
        return tokens

    # -- draws ------------------------------------------------------------------------------------------------

    def _drawn(self, view: View, work: Tensor, window: int, rng: RowRng | TorchRng) -> Tensor | None:
        begin: Tensor | None = None
        uniform: Tensor | None = None
        found = self._backend.truncate(work, self._tail.chain, window)
        if isinstance(rng, RowRng):
            uniform = rng.uniform_on_host()
            tokens, flags = self._backend.draw_row(found, uniform)
        else:
            begin = rng.state()
            tokens, flags = self._backend.draw_torch(found, work.shape[1], rng.generator)
        if not bool(flags.any()):
            return tokens
        self._windows.remember(found.outgrown)
        if begin is not None and isinstance(rng, TorchRng):
            rng.restore(begin)
        return self._again(view, work, tokens, flags, rng, uniform)

    def _again(
        self,
        view: View,
        work: Tensor,
        tokens: Tensor,
        flags: Tensor,
        rng: RowRng | TorchRng,
        uniform: Tensor | None,
    ) -> Tensor | None:
        """Some rows are flagged and the generator stands where it did before the draw."""
        rows: list[int] = flags.nonzero().squeeze(-1).tolist()  # (F, 1) -> (F,)
        self.fallbacks += len(rows)
        if not self._by_rows or 2 * len(rows) > len(flags):
            return None
        return self._decided(view, work, tokens, rows, rng, uniform)

    def _decided(
        self,
        view: View,
        work: Tensor,
        tokens: Tensor,
        rows: list[int],
        rng: RowRng | TorchRng,
        uniform: Tensor | None,
    ) -> Tensor | None:
        """The flagged rows once more, by their own steps and the reference's draw; None where one is bad."""
        places = torch.tensor(rows)
        few = View(
            view.input_ids[places],
            view.lengths[places],
            view.prompt_lengths[places],
            [view.host_lengths[row] for row in rows],
            range(len(rows)),
        )
        scores = as_scores(work[places])  # (R, V) -> (F, V)
        for step in self._own_steps:
            scores = step(few, scores)
        if bool(bad_rows(scores).any()):
            return None
        if uniform is not None:
            tokens[places] = inverse_cdf(scores, uniform[places])
        elif isinstance(rng, TorchRng):
            mine = dict(zip(rows, scores, strict=True))
            spare = torch.empty(work.shape[1], dtype=torch.float64)
            for row in range(len(tokens)):
                if row in mine:
                    tokens[row] = multinomial(mine[row].unsqueeze(0), rng.generator)[0]
                else:  # this row's numbers are passed by
                    torch.rand(len(spare), dtype=torch.float64, generator=rng.generator, out=spare)
        return tokens


def cannot_fuse(tail: Tail) -> str:
    """Why the best token cannot be found without the steps; "" if it can."""
    odd = [p for p in tail.chain if isinstance(p, Truncation) and p.kind not in KEEPS_BEST | {"mass"}]
    return f"{odd[0].kind!r} may cut the best token itself" if odd else ""


def bind_head(tail: Tail, prompt_lengths: Tensor, shared: bool, backend: Backend) -> list[BoundEdit | Map]:
    """The head's edits with their state."""
    return [
        BoundEdit(part, prompt_lengths, shared, backend) if isinstance(part, Edit) else part
        for part in tail.head
    ]
