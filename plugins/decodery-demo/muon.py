"""Muon for the matrices of a small model, in plain torch."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor


def orthogonalise(x: Tensor, steps: int = 5) -> Tensor:
    """Bring every singular value near 1: Newton-Schulz with Jordan's quintic. x: float (N, R, C)."""
    tall = x.size(1) > x.size(2)
    y = x.bfloat16()
    y = y.mT if tall else y  # (N, R, C) -> (N, min, max): the smaller Gram matrix is the cheaper one
    y = y / y.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)
    for _ in range(steps):
        gram = y @ y.mT  # (N, min, max) -> (N, min, min)
        y = torch.baddbmm(y, torch.baddbmm(gram, gram, gram, beta=-4.7750, alpha=2.0315), y, beta=3.4445)
    return (y.mT if tall else y).to(x.dtype)


class Muon(torch.optim.Optimizer):
    """Momentum, made orthogonal before every step (Jordan et al., 2024) and scaled to the size of AdamW's
    (Liu et al., 2025).

    `torch.optim.Muon` takes the same step one matrix after another. A small model is bound by launches, so
    here all matrices of one shape go through together.
    """

    def __init__(
        self, matrices: Iterable[Tensor], lr: float, weight_decay: float, momentum: float = 0.95
    ) -> None:
        super().__init__(matrices, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One step; there is no use for a closure here."""
        for group in self.param_groups:
            shapes: dict[torch.Size, list[Tensor]] = {}
            for matrix in group["params"]:
                shapes.setdefault(matrix.shape, []).append(matrix)
            for shape, alike in shapes.items():
                self._step(alike, group, 0.2 * math.sqrt(max(shape)))

    def _step(self, alike: list[Tensor], group: dict[str, Any], scale: float) -> None:
        """alike: N parameters, float (R, C)."""
        grads = torch.stack([matrix.grad for matrix in alike if matrix.grad is not None])  # -> (N, R, C)
        state = self.state[alike[0]]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(grads)
        momentum = state["momentum"].lerp_(grads, 1 - group["momentum"])
        updates = orthogonalise(grads.lerp(momentum, group["momentum"]))  # Nesterov's look ahead
        for matrix, update in zip(alike, updates.unbind(), strict=True):
            matrix.mul_(1 - group["lr"] * group["weight_decay"]).add_(update, alpha=-group["lr"] * scale)
