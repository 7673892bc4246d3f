"""What a backend is: the fused twins of a run of steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from ..contracts.lowering import Map, Truncation

Chain = Sequence[Map | Truncation]
Touched = Sequence[tuple[Tensor, Tensor]]
"""What each edit touches now: ids (R, E) or (1, E) int64, values that fit them, float32; see `EditSource.edits`."""
Counters = tuple[Tensor, Tensor, Tensor, int]
"""What the row generator's number is a function of: keys, samples, steps, (R,) int64 each, and the purpose; see
`engine.rng.uniform`."""
Picked = tuple[Tensor, Tensor | None]
"""Tokens and flags of `OneCall`."""
OUTGROWN = 2
"""The flag of `OneCall` for a row that is too flat for candidates."""
PARTS = 32
"""Into so many a row is cut to find its best token: each maximum costs something of its own."""
FEW = 4
"""So many rows are looked at one after another; more may be worth several threads."""


class Found(Protocol):
    """What `truncate` hands to the draws of the same backend; `candidates.Candidates` is one."""

    @property
    def outgrown(self) -> Tensor | None:
        """(R,) bool after the draw: rows too flat for the window."""
        ...


class Backend(Protocol):
    """What a `KernelSpec`'s factory returns. `truncate` and `draw_row`, `draw_torch` are all that is asked; the others
    may be left out, shared torch code stands in.

    A flag asks for the reference: rounding could decide, the window was outgrown, or the row has a best score that is
    not finite.
    """

    @property
    def name(self) -> str: ...

    @property
    def devices(self) -> frozenset[str]:
        """The types of device that it runs on."""
        ...

    @property
    def dtypes(self) -> frozenset[torch.dtype]:
        """What it takes of a model's logits as they are; others are made float32 first."""
        ...

    def refuses(self, chain: Chain) -> str:
        """Why this backend cannot run such a chain; "" if it can."""
        ...

    def truncate(self, scores: Tensor, chain: Chain, window: int) -> Any:
        """(R, V) of a dtype in `dtypes`, contiguous -> `Found`. The chain has a truncation, and is the same object at
        every step of a plan. `window` is how many candidates a row to begin with."""
        ...

    def draw_row(self, found: Any, uniform: Tensor) -> tuple[Tensor, Tensor]:
        """(R,) float64 -> tokens (R,) int64, flags (R,) bool."""
        ...

    def draw_torch(self, found: Any, vocab: int, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
        """torch.multinomial's draw; the generator advances by R x V draws."""
        ...

    # def edit(self, scores: Tensor, ids: Tensor, values: Tensor, mode: Mode) -> None: in place, as `edits.edit`
    # def argmax(self, scores: Tensor) -> Tensor: (R, V) -> (R,), the smallest id among equals
    # def history(self, follows: Follows) -> EditSource: in the place of a source that has this for its `follows`
    # def one_call(self, modes: Sequence[Mode], chain: Chain, greedy: bool) -> OneCall | None


class OneCall(Protocol):
    """Edits, chain and choice of one plan without a copy of the scores: (R, V) of a dtype in the backend's `dtypes`,
    whose last dimension is dense, stay as they are.

    Each answers tokens (R,) int64, and flags (R,) uint8 as `Backend`'s, or None where no row is flagged; `OUTGROWN`
    says why a row is. For other scores the answer is None, and nothing is drawn. Several threads may call at once.
    """

    def best(self, scores: Tensor, touched: Touched) -> Picked | None:
        """The best token, the smallest id among equals, for a plan that was asked for greedily."""
        ...

    def row(self, scores: Tensor, touched: Touched, counters: Counters) -> Picked | None:
        """The row generator's draw. The caller gives the same tuple of counters as long as their tensors are the same
        and where they were."""
        ...

    def torch(self, scores: Tensor, touched: Touched, generator: torch.Generator) -> Picked | None:
        """torch.multinomial's draw. Where a row is flagged the generator has not moved."""
        ...


@runtime_checkable
class Sampler(Protocol):
    """A backend for steps inside of CUDA graphs, which names "cuda graph" among its devices."""

    def refuses(self, chain: Chain) -> str: ...

    def sampling(
        self,
        chain: Chain,
        rows: int,
        vocab: int,
        device: torch.device,
        *,
        penalty: float,
        rng: Any,
        halted: Tensor,
    ) -> Sampling | None:
        """None for what it cannot do after all. `rng` is the run's. While `halted` (1,) bool says so, a call leaves
        history and random numbers where they are, and its answer is not looked at."""
        ...

    # def settle(self, standing, tokens, bad, unsure) -> None: in the place of `engine.graph.standing.settle`


class Sampling(Protocol):
    """A repetition penalty (1: none), a chain and the draw, whose history and random numbers are in device memory."""

    def __call__(self, scores: Tensor) -> tuple[Tensor, Tensor]:
        """(R, V) -> tokens (R,) int64, flags (R,): not 0 where the steps themselves must decide."""
        ...

    def observe(self, ids: Tensor) -> None:
        """(R, T) int64: tokens of the text, negative ones are none."""
        ...

    def stand(self, calls: int) -> None:
        """Torch's generator goes to where it would be after so many calls from the first on."""
        ...


def array_of(scores: Tensor) -> Any:
    """The same numbers as numpy's, which finds the first of the best (a NaN, where there is one) at the speed of
    memory; None where torch was built without it, or the tensor is not plainly in memory."""
    try:
        return scores.numpy()
    except (RuntimeError, TypeError):
        return None


def argmax(scores: Tensor) -> Tensor:
    """The smallest id among the best: (R, V) float32 -> (R,) int64. A NaN wins, as in `Tensor.argmax`, than which both
    ways are several times faster on a CPU: numpy's own, and maxima of parts first."""
    rows, vocab = scores.shape
    if scores.is_cpu and (rows <= FEW or torch.get_num_threads() == 1):
        array = array_of(scores)
        if array is not None:
            return torch.from_numpy(array.argmax(-1))
    width, rest = divmod(vocab, PARTS)
    if width < PARTS or rest or not scores.is_contiguous():
        return scores.argmax(-1)
    parts = scores.view(rows, PARTS, width)  # (R, V) -> (R, P, w)
    part = parts.amax(-1).argmax(-1)  # (R, P, w) -> (R, P) -> (R,)
    inside = parts[torch.arange(rows, device=scores.device), part].argmax(-1)  # (R, w) -> (R,)
    return part * width + inside
