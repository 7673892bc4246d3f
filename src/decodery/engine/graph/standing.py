"""What a step leaves in device memory beside its scores, and how its tokens get there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..buffers.history import History
from .ends import Ends


@dataclass(slots=True)
class Standing:
    """`everyone`: finished rows are written too; `pads`: with the pad id. `ends` is None where the host is asked.

    newest   (R, 1) int64, what the model is fed
    written  (R,) bool, rows that got a token in the last step
    growing  (R,) bool, rows that are not finished
    halted   (1,) bool
    told     (3, R) int64 for the host: tokens, rows whose scores are bad, rows that the sampler is unsure of
    """

    history: History
    ends: Ends | None
    everyone: bool
    pads: bool
    newest: Tensor = field(init=False)
    written: Tensor = field(init=False)
    growing: Tensor = field(init=False)
    halted: Tensor = field(init=False)
    told: Tensor = field(init=False)

    def __post_init__(self) -> None:
        history = self.history
        rows, device = len(history.host_lengths), history.tokens.device
        self.newest = history.tokens.gather(1, history.lengths.unsqueeze(1) - 1)  # (R,) -> (R, 1)
        self.growing = torch.ones(rows, dtype=torch.bool, device=device)
        self.written = torch.zeros_like(self.growing)
        self.halted = torch.zeros(1, dtype=torch.bool, device=device)
        self.told = torch.zeros(3, rows, dtype=torch.int64, device=device)

    def padded(self, tokens: Tensor) -> Tensor:
        """(R,) int64 -> (R,) int64."""
        return torch.where(self.growing, tokens, self.history.pad) if self.pads else tokens

    def replace(self, tokens: Tensor, rows: Tensor) -> None:
        """(R,) int64 in the rows (R,) bool: fed next."""
        self.newest.copy_(torch.where(rows, tokens, self.newest[:, 0]).unsqueeze(1))

    def take(self, tokens: Tensor, rows: Tensor) -> None:
        """(R,) int64 in the rows (R,) bool; those that end with it grow no more."""
        self.replace(tokens, rows)
        self.history.write_on_device(tokens, rows)
        if self.ends is not None:
            self.growing.logical_and_(~(rows & self.ends(tokens)))


Settle = Callable[[Standing, Tensor, Tensor | None, Tensor | None], None]


def settle(standing: Standing, tokens: Tensor, bad: Tensor | None, unsure: Tensor | None) -> None:
    """Tokens (R,) int64 of a step; bad, unsure (R,), not 0 where a row's scores are bad or the sampler is unsure of it,
    if any can be. A backend's `settle` does the same in one launch.

    A row that is bad or unsure gets no token, and halts all further steps; so does the last row's end.
    """
    growing, halted = standing.growing, standing.halted
    nobody = torch.zeros_like(growing)
    bad = nobody if bad is None else (bad != 0) & growing
    unsure = nobody if unsure is None else (unsure != 0) & growing
    tokens = standing.padded(tokens)
    settled = ~(bad | unsure | halted)  # (R,) | (1,) -> (R,)
    written = settled if standing.everyone else settled & growing
    told = torch.stack((tokens, bad, unsure))  # 3 x (R,) -> (3, R)
    standing.told.copy_(torch.where(halted, standing.told, told))
    standing.written.copy_(torch.where(halted, standing.written, written))
    standing.take(tokens, written)
    halted.logical_or_(bad.any() | unsure.any() | ~growing.any())
