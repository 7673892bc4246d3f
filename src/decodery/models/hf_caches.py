"""transformers' caches: which argument takes one, what it keeps, how its rows are moved. Pure functions."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from ..contracts.errors import InvalidInput

CACHES = ("past_key_values", "cache", "cache_params")
"""What transformers calls the argument that takes a cache; newer releases say `cache`, older Mambas `cache_params`."""


def cache_argument(accepts: frozenset[str]) -> str:
    """The name of the argument that takes the cache, "" if there is none."""
    return next((name for name in CACHES if name in accepts), "")


def is_static(cache: object) -> bool:
    """The option `cache`: "dynamic" grows with the text, "static" is allocated once. Raises `InvalidInput`."""
    if cache not in ("dynamic", "static"):
        raise InvalidInput(f"cache = {cache!r}", remedy="it is 'dynamic' or 'static'")
    return cache == "static"


def reorder_in_place(cache: Any, rows: Tensor) -> None:
    """(B,) int64: a static cache's tensors stay where they are."""
    for layer in cache.layers:
        for states in (getattr(layer, "keys", None), getattr(layer, "values", None)):
            if isinstance(states, Tensor) and states.numel():
                states.copy_(states.index_select(0, rows.to(states.device)))


def without_windows(cache: Any, room: int) -> Any:
    """A static cache whose sliding layers hold every token, as the others do; the model's mask hides what is older.

    A window that begins to move when it is full decides so on the host, by numbers that are others each step: a forward
    would be compiled anew for each of them, and a CUDA graph goes on as it was captured.
    """
    # Late, to keep transformers out of the start-up of everything else.
    from transformers.cache_utils import StaticLayer, StaticSlidingWindowLayer  # noqa: PLC0415

    cache.layers = [
        StaticLayer(max_cache_len=room) if isinstance(layer, StaticSlidingWindowLayer) else layer
        for layer in cache.layers
    ]
    return cache


def counts_on_device(cache: Any) -> bool:
    """A static cache whose layers say in a tensor how many tokens they have: see `set_back`."""
    return all(isinstance(getattr(layer, "cumulative_length", None), Tensor) for layer in cache.layers)


def set_back(cache: Any, count: int) -> None:
    """The next token overwrites the `count` newest ones, in place: `crop`, which static caches have since 5.24."""
    for layer in cache.layers:
        layer.cumulative_length.sub_(count)


def head_width(module: Any) -> int | None:
    """How many logits the output layer gives, where there is one to ask."""
    weight = getattr(module.get_output_embeddings(), "weight", None)
    return int(weight.shape[0]) if isinstance(weight, Tensor) and weight.dim() == 2 else None


def only_recurrent(cache: Any) -> bool:
    """No layer attends to earlier tokens."""
    linear = getattr(cache, "is_linear", False)
    return isinstance(linear, list) and bool(linear) and all(linear)


def keeps_everything(cache: Any) -> bool:
    """All layers hold every token, so that the newest can be cut off: no window, no recurrent state."""
    cut = getattr(cache, "is_croppable", None)
    if cut is None:  # before 5 a cache does not say; of an encoder-decoder's two the decoder's own grows
        own = getattr(cache, "self_attention_cache", cache)
        cut = all(hasattr(layer, "crop") for layer in own.layers)
    return keeps_places(cache) and bool(cut)


def keeps_places(cache: Any) -> bool:
    """Each token has a place of its own: no window, no recurrent state."""
    sliding, linear = cache.is_sliding, getattr(cache, "is_linear", False)
    return not any(any(kind) if isinstance(kind, list) else bool(kind) for kind in (sliding, linear))
