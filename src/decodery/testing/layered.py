"""A model that tells the outputs of its layers, for strategies that look at them: tables, so that a row's numbers are
the same bits in every batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ..contracts.protocols import ModelFacts
from ..contracts.specs import AdapterSpec
from ..models.adapters.stateless import StatelessModel, StatelessSession
from .models import TableModel

LAYERS = 4


class LayeredModel(TableModel):
    """A `TableModel` of `LAYERS` layers and the embeddings, H = V: the last layer's outputs are its logits, so the head
    is the identity; the earlier ones are tables of their own."""

    def __init__(self, vocab_size: int, *, seed: int = 0) -> None:
        super().__init__(vocab_size, seed=seed)
        self._earlier = [TableModel(vocab_size, seed=1000 * (seed + 1) + layer) for layer in range(LAYERS)]

    def layer(self, layer: int, x: Tensor) -> Tensor:
        """(B, T) int64 -> (B, T, H): 0 is the embeddings', -1 the last."""
        place = layer % (LAYERS + 1)
        return self(x) if place == LAYERS else self._earlier[place](x)


class LayeredTables(StatelessModel):
    """What the adapter makes of it."""

    @property
    def facts(self) -> ModelFacts:
        plain = super().facts
        return replace(plain, capabilities=replace(plain.capabilities, hidden=True), layers=LAYERS)

    def open(self, batch_size: int, length: int | None) -> StatelessSession:
        return _Watched(self, batch_size)

    @staticmethod
    def head(states: Tensor) -> Tensor:
        """(..., H) -> (..., V)."""
        return states


class _Watched(StatelessSession):
    _layers: Sequence[int] = ()
    _newest = 0

    def watch(self, layers: Sequence[int]) -> None:
        self._layers = layers

    def hidden(self) -> Tensor:
        """(L, B, K, H) of the columns of the last call."""
        model: Any = self._owner.model
        layers = [model.layer(layer, self._ids)[:, -self._newest :] for layer in self._layers]
        return torch.stack(layers)  # L x (B, K, H) -> (L, B, K, H)

    def _extended(self, ids: Tensor, columns: int) -> Tensor:
        self._newest = ids.shape[1]
        return super()._extended(ids, columns)


ADAPTER = AdapterSpec(
    name="layered",
    probe=lambda model, options: "it tells its layers" if isinstance(model, LayeredModel) else None,
    factory=LayeredTables,
)
