"""A whole sampling step that a CUDA graph can hold: two launches, everything that changes in device memory."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from decodery.contracts.errors import InvalidInput
from decodery.engine.rng import RowRng, purpose_id
from decodery.kernels.backends import Chain

from . import launch, stream
from .chains import coded, refuses
from .launch import Draw, Seen, Space


class SamplingStep:
    """Repetition penalty, cuts and draw on (B, V) logits of float32, bfloat16 or float16.

    `step(logits)` writes `tokens` (B,) int64 and `flags` (B,) uint8 and returns them: 0 is certain, anything else asks
    for the steps themselves. The history (`seen`) and the random numbers live in device memory and move on with each
    call, so that the replays of a graph do as well; in a flagged row the history and the row generator stay, until
    `observe` says which token it became. `penalties` (B, 2), each with its reciprocal, and `params` (B, P, 2) may be written between replays.

    While `halted` (1,) bool, if given, says so, a call leaves history and random numbers where they are.

    Raises `InvalidInput` for a chain that the kernels do not know, or that wants a wider window than was built for.
    """

    def __init__(
        self,
        chain: Chain,
        rows: int,
        vocab: int,
        device: torch.device,
        *,
        penalty: float = 1.0,
        row_rng: RowRng | None = None,
        generator: torch.Generator | None = None,
        halted: Tensor | None = None,
    ) -> None:
        refusal = refuses(chain)
        if refusal:
            raise InvalidInput(f"no kernel for this chain: {refusal}", remedy="leave it to the plan")
        code = coded(chain, device)
        code = replace(code, params=code.params.expand(rows, -1, -1).contiguous())
        self.space = Space(rows, vocab, code, device)
        self.tokens, self.flags = self.space.tokens, self.space.flags
        self.params = self.space.coded.params
        self.seen = torch.zeros(rows, -(-vocab // 32), dtype=torch.int32, device=device)
        self.penalties = torch.tensor([[penalty, 1 / penalty]], device=device).expand(rows, 2).contiguous()
        self._seen = Seen(self.seen, self.penalties) if penalty != 1.0 else None
        self._halted = None if halted is None else halted.view(torch.uint8)
        self._generator, self._advance = stream.generator_of(generator, device), 0
        if row_rng is not None:
            self.clock = None
            self._draw = Draw(
                rows=(row_rng.row_keys, row_rng.samples, row_rng.steps), consumer=purpose_id("draw")
            )
        else:
            threads = stream.threads(rows * vocab, device)
            self._advance = stream.advance(rows * vocab, threads)
            self.clock = torch.zeros(3, dtype=torch.int64, device=device)
            self._draw = Draw(clock=self.clock, threads=threads)
            self.read_generator()

    def __call__(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """(B, V), contiguous. Nothing is allocated and nothing waited for."""
        halted = self._halted
        launch.maxima(logits, self.space, self._seen, self.clock, self._advance, halted)
        launch.draw(logits, self.space, self._draw, self._seen, advance=True, halted=halted)
        return self.tokens, self.flags

    def observe(self, ids: Tensor) -> None:
        """(B, T) int64: tokens of the history, the prompt first; negative ones are none."""
        if ids.shape[1] == 1:  # a token that was decided by others, in the middle of a run
            word, bit = ids.clamp(min=0) // 32, torch.where(ids < 0, 0, _as_int32(1 << ids % 32))
            self.seen.scatter_(1, word, self.seen.gather(1, word) | bit)
            return
        words = torch.zeros(self.seen.shape[0], 32 * self.seen.shape[1], dtype=torch.bool, device=ids.device)
        words.scatter_(1, ids.clamp(min=0), True)
        words[:, 0] = (ids == 0).any(1)
        bits = 1 << torch.arange(32, device=ids.device)
        packed = (words.view(*self.seen.shape, 32) * bits).sum(-1)  # (B, 32 W) -> (B, W, 32) -> (B, W)
        self.seen |= _as_int32(packed)

    def read_generator(self) -> None:
        """Begin where torch's generator stands."""
        if self.clock is not None:
            self._began = stream.where(self._generator)
            seed, offset = self._began
            self.clock.copy_(torch.tensor([seed, offset, offset]))

    def write_generator(self) -> None:
        """Leave torch's generator where the draws have come to. Waits for the device."""
        if self.clock is not None:
            seed, offset, _ = self.clock.tolist()
            stream.put(self._generator, seed, offset)

    def put_generator(self, calls: int) -> None:
        """Leave torch's generator where so many calls bring it from where it was read last."""
        if self.clock is not None:
            seed, offset = self._began
            stream.put(self._generator, seed, offset + calls * self._advance)


def _as_int32(bits: Tensor) -> Tensor:
    """int64 of 32 bits -> int32 of the same bits."""
    return torch.where(bits >= 2**31, bits - 2**32, bits).to(torch.int32)
