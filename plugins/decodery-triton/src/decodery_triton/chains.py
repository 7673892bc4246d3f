"""A plan's chain as the kernels take it: a number that says what the parts are, and a tensor of their parameters."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from decodery.contracts.lowering import Map, Truncation
from decodery.kernels import torch_backend
from decodery.kernels.backends import Chain

KINDS = {"k": 3, "mass": 4, "ratio": 5, "floor": 6}
MULTIPLY, DIVIDE = 1, 2
BLOCK = 64
"""Scores a block."""
WINDOW = 256
"""Candidates where the first cut does not say how many."""
WIDEST = 512
MOST_PARTS = 15
LARGEST = 1 << 20
"""The greatest vocabulary: the maxima of its blocks fit one program."""


@dataclass(frozen=True, slots=True)
class Coded:
    """`code` has four bits a part; `leading` maps come before the first cut; `params` (1 or R, P, 2) float64 are value
    and min_keep; `window` candidates are wanted at most; `sums`: the first cut needs the mass of the whole row."""

    code: int
    parts: int
    leading: int
    sums: bool
    window: int
    params: Tensor

    @property
    def stride(self) -> int:
        """From one row's parameters to the next's."""
        return 0 if len(self.params) == 1 else 2 * self.parts

    @property
    def chosen(self) -> int:
        """Blocks that are looked into, a power of two."""
        return max(16, 1 << (self.window - 1).bit_length())

    @property
    def slots(self) -> int:
        """Candidates that there is room for."""
        return 2 * self.chosen


def refuses(chain: Chain) -> str:
    """Why these kernels cannot run such a chain; "" if they can."""
    for part in chain:
        if part.kind not in (*KINDS, "temperature"):
            return f"no kernel for {part.kind!r}"
        if part.kind == "k" and float(torch.as_tensor(part.value).max()) > WIDEST:
            return f"top-k beyond {WIDEST} is too wide"
        if isinstance(part, Truncation) and part.min_keep > WINDOW:
            return f"min_keep beyond {WINDOW} is too wide"
    if len(chain) > MOST_PARTS:
        return f"more than {MOST_PARTS} steps"
    return torch_backend.refuses(chain)


def coded(chain: Chain, device: torch.device) -> Coded:
    """Any chain that is not refused."""
    leading = next(place for place, part in enumerate(chain) if isinstance(part, Truncation))
    first = chain[leading]
    window = WINDOW
    if first.kind == "k" and isinstance(first, Truncation):
        window = max(int(torch.as_tensor(first.value).max()), first.min_keep)
    code, columns = 0, []
    for place, part in enumerate(chain):
        kind, value = _part(part)
        code |= kind << 4 * place
        keep = torch.full_like(value, part.min_keep if isinstance(part, Truncation) else 1)
        columns.append(torch.stack((value, keep), -1))  # (R,) -> (R, 2)
    rows = max(len(column) for column in columns)
    params = torch.stack([column.expand(rows, 2) for column in columns], 1)  # P x (R, 2) -> (R, P, 2)
    return Coded(
        code, len(chain), leading, first.kind in ("mass", "floor"), window, params.to(device).contiguous()
    )


def _part(part: Map | Truncation) -> tuple[int, Tensor]:
    """The kind's number and (1,) or (R,) float64."""
    if isinstance(part, Truncation):
        return KINDS[part.kind], torch.as_tensor(part.value, dtype=torch.float64).reshape(-1)
    if isinstance(part.value, Tensor):
        return DIVIDE, part.value.double()
    # torch on CUDA divides by a number as it multiplies with the number's reciprocal, rounded to float32 at the end.
    return MULTIPLY, torch.tensor([1 / part.value], dtype=torch.float64)
