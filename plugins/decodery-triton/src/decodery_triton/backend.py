"""The sampler that decodery's graphs ask for."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from decodery.engine.rng import RowRng, TorchRng
from decodery.kernels.backends import Chain

from .chains import LARGEST, refuses
from .settle import settle
from .step import SamplingStep


class TritonSampler:
    """See `decodery.kernels.backends.Sampler`."""

    name = "triton"
    devices = frozenset({"cuda graph"})
    dtypes = frozenset({torch.float32, torch.bfloat16, torch.float16})

    settle = staticmethod(settle)

    def refuses(self, chain: Chain) -> str:
        """Why not; "" if it can."""
        return refuses(chain)

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
    ) -> GraphSampling | None:
        """None for random numbers or a vocabulary that the kernels do not know."""
        if not isinstance(rng, RowRng | TorchRng) or vocab > LARGEST:
            return None
        return GraphSampling(chain, rows, vocab, device, penalty, rng, halted)


class GraphSampling:
    """`SamplingStep` with the random numbers of a run: the row generator's step is read where the run counts it."""

    def __init__(
        self,
        chain: Chain,
        rows: int,
        vocab: int,
        device: torch.device,
        penalty: float,
        rng: RowRng | TorchRng,
        halted: Tensor,
    ) -> None:
        self._counted: Tensor | None = None
        self._steps: Tensor | None = None
        if isinstance(rng, RowRng):
            # A copy: the kernel counts by itself, and so does the run.
            self._counted, self._steps = rng.steps, rng.steps.clone()
            twin = RowRng(rng.row_keys, rng.samples, self._steps)
            source: dict[str, Any] = {"row_rng": twin}
        else:
            source = {"generator": rng.generator}
        self._step = SamplingStep(chain, rows, vocab, device, penalty=penalty, halted=halted, **source)

    def __call__(self, scores: Tensor) -> tuple[Tensor, Tensor]:
        """(R, V) -> (R,) int64, (R,) uint8."""
        if self._steps is not None and self._counted is not None:
            self._steps.copy_(self._counted)
        return self._step(scores)

    def observe(self, ids: Tensor) -> None:
        """(R, T) int64."""
        self._step.observe(ids)

    def stand(self, calls: int) -> None:
        """Nothing waits for the device: a call moves the generator by the same amount each time."""
        self._step.put_generator(calls)
