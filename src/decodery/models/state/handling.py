"""How to take rows and tokens of a state that nobody described: found by watching one step.

Rows: the dimension whose size is the batch, or, in a pool that is larger, the one whose first B places changed.
Tokens: a dimension that grew by one with one token is cut, a number that grew by one is counted back. What was found
is only believed after it was tried (`probing/verify.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from .tree import Leaf, Path

CONSIDERED = 4
"""Leading dimensions that may be the batch: (layers, 2, B, ...) is the deepest seen."""


@dataclass(frozen=True, slots=True)
class Handling:
    """Paths of the leaves that are state.

    rows   tensor -> the dimension of the batch
    pools  tensor -> the dimension whose first places are the batch
    grows  tensor -> the dimension that has one place a token
    counts numbers that go up by one a token
    """

    rows: dict[Path, int] = field(default_factory=dict)
    pools: dict[Path, int] = field(default_factory=dict)
    grows: dict[Path, int] = field(default_factory=dict)
    counts: frozenset[Path] = frozenset()

    @property
    def rewinds_by(self) -> Literal["", "crop", "counter"]:
        """How the newest tokens could be taken back, "" for not at all. To be tried."""
        return "crop" if self.grows else "counter" if self.counts else ""

    def taking(self, rows: Tensor, path: Path, leaf: Leaf) -> Leaf:
        """(B',) int64: the leaf with row i what row `rows[i]` was; others are returned as they are."""
        if not isinstance(leaf, Tensor):
            return leaf
        if path in self.rows:
            return leaf.index_select(self.rows[path], rows.to(leaf.device))
        if path in self.pools:
            dim, pool = self.pools[path], leaf.clone()
            chosen = leaf.index_select(dim, rows.to(leaf.device))
            pool.narrow(dim, 0, chosen.shape[dim]).copy_(chosen)
            return pool
        return leaf

    def without(self, count: int, path: Path, leaf: Leaf) -> Leaf:
        """The leaf without the newest `count` tokens."""
        if path in self.grows and isinstance(leaf, Tensor):
            dim = self.grows[path]
            return leaf.narrow(dim, 0, leaf.shape[dim] - count).clone()
        return leaf - count if path in self.counts else leaf


def watched(before: dict[Path, Leaf], after: dict[Path, Leaf], batch: int, every: bool = False) -> Handling:
    """What one step with one token a row did to the leaves, those of before being copies. With `every` a tensor that
    did not change has rows too: nothing but state is among the leaves."""
    rows: dict[Path, int] = {}
    pools: dict[Path, int] = {}
    grows: dict[Path, int] = {}
    counts: set[Path] = set()
    for path, new in after.items():
        old = before.get(path)
        if not isinstance(new, Tensor):
            if isinstance(old, int) and new == old + 1:
                counts.add(path)
            continue
        same_shape = isinstance(old, Tensor) and old.shape == new.shape
        dim = next((d for d, size in enumerate(new.shape[:CONSIDERED]) if size == batch), None)
        unchanged = same_shape and _equal(old, new)  # type: ignore[arg-type]
        if dim is not None and (every or not unchanged):
            rows[path] = dim
        if unchanged:
            continue
        if isinstance(old, Tensor) and _counts(old, new):
            counts.add(path)
        if dim is None and same_shape and (pool := _pool(old, new, batch)) is not None:  # type: ignore[arg-type]
            pools[path] = pool
        if isinstance(old, Tensor) and old.dim() == new.dim():
            longer = [d for d in range(new.dim()) if new.shape[d] != old.shape[d]]
            if len(longer) == 1 and new.shape[longer[0]] == old.shape[longer[0]] + 1:
                grows[path] = longer[0]
    return Handling(rows, pools, grows, frozenset(counts))


def moved(before: dict[Path, Leaf], after: dict[Path, Leaf]) -> set[Path]:
    """Where a leaf is new, gone or another one."""

    def same(a: Leaf, b: Leaf) -> bool:
        if isinstance(a, Tensor) and isinstance(b, Tensor):
            return a.shape == b.shape and _equal(a, b)
        return not isinstance(a, Tensor) and not isinstance(b, Tensor) and a == b

    both = before.keys() & after.keys()
    return {path for path in both if not same(before[path], after[path])} | (before.keys() ^ after.keys())


def copied(found: dict[Path, Leaf]) -> dict[Path, Leaf]:
    """The leaves as they are now, whatever is written into them later."""
    return {path: leaf.clone() if isinstance(leaf, Tensor) else leaf for path, leaf in found.items()}


def _equal(a: Tensor, b: Tensor) -> bool:
    return a.dtype == b.dtype and a.device == b.device and torch.equal(a.nan_to_num(), b.nan_to_num())


def _counts(old: Tensor, new: Tensor) -> bool:
    if old.shape != new.shape or new.is_floating_point() or new.dtype == torch.bool:
        return False
    return torch.equal(new, old + 1)


def _pool(old: Tensor, new: Tensor, batch: int) -> int | None:
    for dim in range(min(new.dim(), CONSIDERED)):
        if new.shape[dim] <= batch:
            continue
        others = [d for d in range(new.dim()) if d != dim]
        moved = (old != new).any(dim=others) if others else old != new  # -> (places,)
        if moved[:batch].all() and not moved[batch:].any():
            return dim
    return None
