"""The trait compilable: the step traces whole, without a host sync or a Python branch on data."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ..case import Case, unlike
from ..samples import ragged_rows, score_rows
from .check import check, require


@check(
    "step",
    "compilable",
    remedy="no .item(), no `if` on a tensor, no Python list of its values; or drop the trait",
)
def compiles(case: Case) -> None:
    """torch.compile with fullgraph=True takes each of its objects, and the graph answers like the step."""
    batches = (ragged_rows() if "ragged" in case.traits else score_rows("lm-like"))[:1]
    torch._dynamo.reset()
    for batch in batches:
        expected = case.answer(batch)
        bound = case.bind(batch)
        bound.instances = [_compiled(instance) for instance in bound.instances]
        row = unlike(case.answer(batch, bound), expected)
        require(row is None, f"answers row {row} differently when compiled")


def _compiled(instance: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Tensor, **facts: Tensor) -> Any:
        return instance(*args, **facts)

    compiled = torch.compile(call, fullgraph=True, dynamic=False, backend="eager")

    def quiet(*args: Tensor, **facts: Tensor) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # dynamo's own remarks on the author's Python
            return compiled(*args, **facts)

    return quiet


CHECKS = (compiles,)
