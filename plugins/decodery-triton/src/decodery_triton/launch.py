"""The launches behind every draw: tensors in, tokens and flags out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
import triton
from torch import Tensor

from .chains import BLOCK, Coded
from .maxima import block_maxima
from .select import BY_ROW, BY_TORCH, BY_UNIFORM, select_and_draw
from .ties import in_order

PER = 32
"""Blocks a program of the pass over the row."""


@dataclass(slots=True)
class Space:
    """What the launches write, for (R, V) scores: allocated once, or once a step."""

    rows: int
    vocab: int
    coded: Coded
    device: torch.device
    maxima: Tensor = field(init=False)
    sums: Tensor = field(init=False)
    lists: Tensor = field(init=False)
    values: Tensor = field(init=False)
    ids: Tensor = field(init=False)
    weights: Tensor = field(init=False)
    tokens: Tensor = field(init=False)
    flags: Tensor = field(init=False)

    def __post_init__(self) -> None:
        def empty(width: int, dtype: torch.dtype) -> Tensor:
            return torch.empty(self.rows, width, dtype=dtype, device=self.device)

        slots = self.coded.slots
        self.maxima = empty(self.blocks, torch.float32)
        self.sums = empty(self.blocks, torch.float32) if self.coded.sums else self.maxima
        self.lists = empty(self.coded.chosen, torch.int32)
        self.values, self.ids = empty(slots, torch.float32), empty(slots, torch.int32)
        self.weights = empty(slots, torch.float64)
        self.tokens = empty(1, torch.int64).view(-1)  # (R, 1) -> (R,)
        self.flags = empty(1, torch.uint8).view(-1)

    @property
    def blocks(self) -> int:
        return -(-self.vocab // BLOCK)


@dataclass(frozen=True, slots=True)
class Seen:
    """What was said, one bit a token, (R, ceil(V / 32)) int32, and the penalty of each row and its reciprocal, (R, 2) float32."""

    bits: Tensor
    penalties: Tensor


@dataclass(frozen=True, slots=True)
class Draw:
    """One of three: uniforms (R,) float64; row_keys, samples, steps (R,) int64 and the consumer's number; or clock
    (3,) int64 with the number of threads that torch would use."""

    uniforms: Tensor | None = None
    rows: tuple[Tensor, Tensor, Tensor] | None = None
    consumer: int = 0
    clock: Tensor | None = None
    threads: int = 1

    @property
    def kind(self) -> Any:
        return BY_TORCH if self.clock is not None else BY_UNIFORM if self.rows is None else BY_ROW


def maxima(
    scores: Tensor,
    space: Space,
    seen: Seen | None = None,
    clock: Tensor | None = None,
    advance: int = 0,
    halted: Tensor | None = None,
) -> None:
    """One pass over (R, V) scores. With a clock this step's offset is taken from it; see `SamplingStep` for halted."""
    code = space.coded
    bits, penalties = _seen(seen, space)
    block_maxima[(space.rows, triton.cdiv(space.blocks, PER))](
        scores, space.maxima, space.sums, code.params, code.stride, bits, penalties,
        space.tokens if clock is None else clock, space.flags if halted is None else halted, advance,
        space.vocab, space.blocks, bits.shape[-1],
        LEADING=code.leading, CODE=code.code, SEEN=seen is not None, SUMS=code.sums, CLOCK=clock is not None,
        HALTS=halted is not None,
        BLOCK=BLOCK, PER=PER, num_warps=4,
    )  # fmt: skip


def draw(
    scores: Tensor,
    space: Space,
    how: Draw,
    seen: Seen | None = None,
    *,
    advance: bool = False,
    halted: Tensor | None = None,
) -> None:
    """Cuts and draw; `space.tokens` and `space.flags` are the answer. `advance`: certain rows' history and step move
    on, but where `halted` (1,) uint8 is not 0."""
    code, spare = space.coded, space.tokens
    bits, penalties = _seen(seen, space)
    keys, samples, steps = (spare, spare, spare) if how.rows is None else how.rows
    select_and_draw[(space.rows,)](
        scores, space.maxima, space.sums, code.params, code.stride, bits, penalties,
        space.lists, space.values, space.ids, space.weights,
        space.weights if how.uniforms is None else how.uniforms, keys, samples, steps, how.consumer,
        spare if how.clock is None else how.clock, how.threads, spare if halted is None else halted,
        space.tokens, space.flags,
        code.window, space.vocab, space.blocks, bits.shape[-1],
        LEADING=code.leading, CODE=code.code, PARTS=code.parts, SEEN=seen is not None, SUMS=code.sums,
        DRAW=how.kind, ADVANCE=advance, HALTS=halted is not None,
        IN_ORDER=in_order(space.rows, space.vocab, scores.device),
        BLOCK=BLOCK, BLOCKS=max(16, triton.next_power_of_2(space.blocks)),
        CHOSEN=code.chosen, SLOTS=code.slots, num_warps=4 if code.chosen <= 64 else 8,
    )  # fmt: skip


def _seen(seen: Seen | None, space: Space) -> tuple[Tensor, Tensor]:
    return (space.lists, space.maxima) if seen is None else (seen.bits, seen.penalties)
