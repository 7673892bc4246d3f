"""transformers' very draw without its whole cost: `torch.multinomial(p, 1)` is `argmax(p / q)`.

On the CPU q is -log1p(-u), rounded to the dtype of p, and u the float64 uniform of one draw of torch's generator: V
draws a row, row after row, whatever the scores. `torch.rand(V, dtype=float64)` gives the same u and leaves the
generator in the same state, and so does `random_` with the bits that they are made of, so that logarithms are needed
for survivors only. That is a habit of torch's, not a
promise: it is probed once a process, and `exponential_` itself is asked where it does not hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from ctypes import c_int64
from functools import cache

import torch
from torch import Tensor

from .certificate import close_race

_BITS = 2**53 - 1
_UNIT = 2.0**-53


def exponentials_at(generator: torch.Generator | None, vocab: int, ids: Tensor) -> Tensor:
    """The q of these tokens, (R, K) int64 -> (R, K) float32; the generator advances by R x V draws.

    One row of temporaries at a time: V numbers of 64 bits.
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
    drawn = torch.empty(vocab, dtype=torch.int64)
    taken = torch.empty_like(ids)
    for place, row in enumerate(ids):
        drawn.random_(generator=generator)
        torch.gather(drawn, 0, row, out=taken[place])
    return _uniform(taken).neg_().log1p_().neg_().float()


def uniforms_at(generator: torch.Generator | None, vocab: int, ids: Sequence[int]) -> list[float]:
    """The u behind one row's `exponentials_at`, where torch draws as expected."""
    drawn = torch.empty(vocab, dtype=torch.int64).random_(generator=generator)
    cells = (c_int64 * vocab).from_address(drawn.data_ptr())  # a few of many: to be read one by one
    return [(cells[token] & _BITS) * _UNIT for token in ids]


def _uniform(drawn: Tensor) -> Tensor:
    """What `torch.rand` makes of 64 drawn bits, float64 in [0, 1): the low 53. `random_` fetches the same bits in four
    fifths of the time, as the conversion is left to those who want it."""
    return (drawn & _BITS).double() * _UNIT


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
    bits = torch.empty(rows, vocab, dtype=torch.int64).random_(generator=ours)
    state = ours.get_state()
    ours.manual_seed(vocab)
    u = torch.rand(rows, vocab, dtype=torch.float64, generator=ours)
    if not torch.equal(_uniform(bits), u) or not torch.equal(ours.get_state(), state):
        return False
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
