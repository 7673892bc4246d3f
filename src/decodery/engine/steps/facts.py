"""Facts of one run, injected into the steps that declare a need for them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ...contracts.errors import InvalidInput
from ...contracts.protocols import Rng, Tokenizer
from ...contracts.specs import StepSpec, StrategySpec
from ..rng import RowRng, StepRng

_REMEDY = {
    "vocab_size": "pass vocab_size=",
    "tokenizer": "pass tokenizer=",
    "encoder_ids": "pass encoder_ids=, or use an encoder-decoder model",
}


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything a step may ask for; see `contracts.specs.FACTS`. `prompt_lengths` is (R,) int64; `encoder_lengths`
    says how many of each row's `encoder_ids` (R, S) are its own, the rest being padding on the right."""

    prompt_lengths: Tensor
    device: torch.device
    rng: Rng
    eos: tuple[int, ...] = ()
    pad: int | None = None
    vocab_size: int | None = None
    tokenizer: Tokenizer | None = None
    encoder_ids: Tensor | None = None
    encoder_lengths: Tensor | None = None
    prompt_index: Tensor | None = None
    limits: Tensor | None = None
    padding: Tensor | None = None
    max_length: int | None = None

    def take(self, needs: Iterable[str], owner: str) -> dict[str, Any]:
        """The facts named, by keyword. Raises `InvalidInput` when one is not known."""
        taken = {need: getattr(self, need) for need in needs}
        for need, value in taken.items():
            if value is None and need in _REMEDY:
                raise InvalidInput(f"{owner!r} needs {need}, which is not known here", remedy=_REMEDY[need])
        return taken

    def given(self, spec: StepSpec | StrategySpec) -> dict[str, Any]:
        """What the record asks for: `needs` or an error, `wants` or None."""
        return {**{want: getattr(self, want) for want in spec.wants}, **self.take(spec.needs, spec.name)}

    def of_step(self, name: str) -> Facts:
        """The facts as one step gets them: with random numbers of its own."""
        return replace(self, rng=StepRng(self.rng, name)) if isinstance(self.rng, RowRng) else self

    def row(self, index: int) -> Facts:
        """The facts of one row, for steps that are built once a row."""
        one = slice(index, index + 1)
        return replace(
            self,
            prompt_lengths=self.prompt_lengths[one],
            rng=self.rng.of_row(index) if isinstance(self.rng, StepRng) else self.rng,
            encoder_ids=self._own_encoder_ids(index),
            encoder_lengths=_part(self.encoder_lengths, one),
            prompt_index=_part(self.prompt_index, one),
            limits=_part(self.limits, one),
            padding=_part(self.padding, one),
        )

    def _own_encoder_ids(self, index: int) -> Tensor | None:
        """(R, S) -> (1, S'): what the encoder was given for this row, less the padding."""
        if self.encoder_ids is None:
            return None
        end = None if self.encoder_lengths is None else int(self.encoder_lengths[index])
        return self.encoder_ids[index : index + 1, :end]


def _part(fact: Tensor | None, rows: slice) -> Tensor | None:
    """(R,) -> (R',)"""
    return None if fact is None else fact[rows]
