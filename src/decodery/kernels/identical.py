"""transformers' very draw without its whole cost: `torch.multinomial(p, 1)` is `argmax(p / q)`.

On the CPU q is -log1p(-u), rounded to the dtype of p, and u the float64 uniform of one draw of torch's generator: V
draws a row, row after row, whatever the scores. `torch.rand(V, dtype=float64)` gives the same u and leaves the
generator in the same state, so that logarithms are needed for survivors only. That is a habit of torch's, not a
promise: it is probed once a process, and `exponential_` itself is asked where it does not hold.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from .certificate import close_race


def exponentials_at(generator: torch.Generator | None, vocab: int, ids: Tensor) -> Tensor:
    """The q of these tokens, (R, K) int64 -> (R, K) float32; the generator advances by R x V draws.

    One row of temporaries at a time: V float64.
    """
    if not holds():
        return torch.cat(
            [
                torch.empty(vocab)
                .exponential_(generator=generator)
                .gather(0, row)
                .unsqueeze(0)  # (K,) -> (1, K)
                for row in ids
            ]
        )
    return uniforms_at(generator, vocab, ids).neg_().log1p_().neg_().float()


def uniforms_at(generator: torch.Generator | None, vocab: int, ids: Tensor) -> Tensor:
    """The u behind `exponentials_at`, (R, K) int64 -> (R, K) float64, where torch draws as expected."""
    row_of_u = torch.empty(vocab, dtype=torch.float64)
    u = torch.empty(ids.shape, dtype=torch.float64)
    for place, row in enumerate(ids):
        torch.rand(vocab, dtype=torch.float64, generator=generator, out=row_of_u)
        torch.gather(row_of_u, 0, row, out=u[place])
    return u


def dense_draw(scores: Tensor, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
    """One draw a row from the whole row: (R, V) float32 -> tokens (R,) int64, flags (R,) bool.

    A flag says that the two best are too near to trust this logarithm's last bit; the generator has advanced as
    `torch.multinomial` would in any case.
    """
    probs = scores.softmax(-1)
    q = torch.empty(scores.shape[-1], dtype=torch.float64)
    tokens, flags = [], []
    for row in probs:
        torch.rand(scores.shape[-1], dtype=torch.float64, generator=generator, out=q)
        # The same float32 quotients as torch's own, but for the last bit of a logarithm.
        winner, close = close_race(row.div_(q.neg_().log1p_().neg_()).unsqueeze(0))  # (V,) -> (1, V)
        tokens.append(winner)
        flags.append(close)
    return torch.cat(tokens), torch.cat(flags)


@cache
def holds() -> bool:
    """Whether torch draws as this module expects, here and now. Uses generators of its own."""
    return all(_agrees(rows, vocab) for rows, vocab in ((3, 37), (2, 70_001)))


def _agrees(rows: int, vocab: int) -> bool:
    ours, theirs = torch.Generator().manual_seed(vocab), torch.Generator().manual_seed(vocab)
    q = torch.empty(rows, vocab).exponential_(generator=theirs)
    u = torch.rand(rows, vocab, dtype=torch.float64, generator=ours)
    if not torch.equal(ours.get_state(), theirs.get_state()) or not torch.equal(
        torch.log1p(-u).neg().float(), q
    ):
        return False
    probs = torch.rand(rows, vocab, generator=theirs).softmax(-1)
    state = theirs.get_state()
    drawn = torch.multinomial(probs, 1, generator=theirs).squeeze(1)  # (R, 1) -> (R,)
    end = theirs.get_state()
    theirs.set_state(state)
    q = torch.empty(rows, vocab).exponential_(generator=theirs)
    return torch.equal(drawn, (probs / q).argmax(-1)) and torch.equal(end, theirs.get_state())
