"""A model that a record brings, or that an adapter is tried on, ready to open sessions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from ..contracts.protocols import DecodableModel, ModelFacts
from ..contracts.specs import AdapterSpec, ModelSpec, resolve
from ..host.registry import Host
from ..models.detect import connect
from .case import Case

ROWS, TOKENS = 3, 8
_TOLERANCE = {torch.float16: 2e-2, torch.bfloat16: 1.5e-1}
_SINGLE = 2e-3


@dataclass(frozen=True, slots=True)
class Opened:
    """`tokenizer` is None where the record brings none."""

    decodable: DecodableModel
    tokenizer: Any = None

    @property
    def facts(self) -> ModelFacts:
        return self.decodable.facts

    @property
    def ids(self) -> Tensor:
        """(R, T) int64, always the same ones, of the model's vocabulary and within its context."""
        generator = torch.Generator().manual_seed(7)
        length = min(TOKENS, self.facts.max_length or TOKENS)
        return torch.randint(0, self.facts.vocab_size or 2, (ROWS, length), generator=generator).to(
            self.facts.device
        )

    def differ(self, first: Tensor, second: Tensor) -> float:
        """By how much more than rounding the log-probabilities of (..., V) logits differ; at most 0 for equals."""
        if first.shape != second.shape:
            return float("inf")
        one, other = first.double().log_softmax(-1), second.double().log_softmax(-1)
        gap = torch.where((one == other) | (one.isnan() & other.isnan()), 0.0, (one - other).abs())
        return float(gap.nan_to_num(nan=float("inf")).max()) - _TOLERANCE.get(self.facts.dtype, _SINGLE)

    def whole(self, ids: Tensor, mask: Tensor | None = None) -> Tensor:
        """(R, T) int64 -> (R, V): the logits after the last column, in a session of their own."""
        session = self.decodable.open(len(ids), ids.shape[1])
        try:
            given = {} if mask is None else {"attention_mask": mask}
            return session.prefill(ids, **given)
        finally:
            session.close()


def opened(case: Case) -> Opened:
    """Raises what opening it raises."""
    if isinstance(case.spec, ModelSpec):
        return _of_record(case.spec)
    if not isinstance(case.spec, AdapterSpec):
        raise TypeError(f"{case.spec.name!r} brings no model")
    model, options = case.values["model"], case.values.get("options", {})
    if isinstance(model, str):
        model, _ = pair(resolve(model, f"the model of {case.spec.name!r}")())
    return Opened(_connected(model, case.spec, options))


@lru_cache(maxsize=1)  # a model's weights are read once for all its checks
def _of_record(spec: ModelSpec) -> Opened:
    model, tokenizer = pair(resolve(spec.factory, f"model {spec.name!r}")())
    return Opened(connect(model, Host().adapters())[0], tokenizer)


def _connected(model: Any, spec: AdapterSpec, options: Mapping[str, Any]) -> DecodableModel:
    return connect(model, [spec], spec.name, options)[0]


def pair(made: Any) -> tuple[Any, Any]:
    """What a model's factory returned, as (model, tokenizer or None)."""
    return (made[0], made[1]) if isinstance(made, tuple) and len(made) == 2 else (made, None)
