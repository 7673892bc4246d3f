"""What `Decoder(compile=...)` may be for a model."""

from __future__ import annotations

from typing import Literal, get_args

from ...contracts.errors import InvalidInput, ModelError
from ...contracts.protocols import ModelFacts

Compile = Literal["none", "graph", "full"]


def check_compile(wanted: str, facts: ModelFacts, adapter: str) -> None:
    """Raises `InvalidInput` for another word and for graphs without CUDA, `ModelError` for a state that moves."""
    if wanted not in get_args(Compile):
        raise InvalidInput(f"compile = {wanted!r}", remedy="it is 'none', 'graph' or 'full'")
    if wanted == "graph" and facts.device.type != "cuda":
        raise InvalidInput(
            f"compile='graph' is for CUDA devices, and the model is on {facts.device}",
            remedy="device='cuda'; on a CPU compile='full' compiles the forward",
        )
    if wanted != "none" and not facts.capabilities.static:
        raise ModelError(
            f"compile={wanted!r} wants a cache that stays in place, which the adapter {adapter!r} has not found",
            remedy="give the model setup_caches(batch, length) and input_pos, or leave compile out",
        )
