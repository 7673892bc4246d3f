"""The state that a session begins with: the user's, what a method of the model makes, or nothing."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch

from ...contracts.errors import InvalidInput, ModelError
from ..caches import argument_means
from ..calling import Call, module_of
from ..facts import device_of, dtype_of
from .names import INIT

Make = Callable[[int, int], Any]


@dataclass
class InferenceParams:
    """What the Mamba and Megatron families take as `inference_params`; the caller counts `seqlen_offset` up."""

    max_seqlen: int
    max_batch_size: int
    seqlen_offset: int = 0
    batch_size_offset: int = 0
    key_value_memory_dict: dict[Any, Any] = field(default_factory=dict)
    lengths_per_sample: Any = None


def first_states(model: object, argument: str, call: Call, told: object) -> Iterator[tuple[str, Make]]:
    """(in words, `make(batch, length)`), the likeliest first. Raises `InvalidInput` for a `state` that is nothing to
    call."""
    if told is not None:
        yield "the first state is the user's", _users(told)
        return
    module = module_of(model)
    for name in INIT:
        method = getattr(module, name, None)
        if callable(method):
            yield f"{name}() makes the first state", _by_method(model, method)
    if argument == "inference_params":
        yield "", lambda batch, length: InferenceParams(length, batch)
    yield "", lambda batch, length: None
    if argument.startswith("incremental"):
        yield "an empty dict is the first state", lambda batch, length: {}


def _users(told: object) -> Make:
    if not callable(told):
        raise InvalidInput(
            f"state = {told!r:.60} is a {type(told).__name__}",
            remedy="give a function of the number of rows: state=lambda batch: MyCache(batch)",
        )
    wants = len([p for p in inspect.signature(told).parameters.values() if p.default is p.empty])
    return lambda batch, length: told(*(batch, length)[:wants])


def _by_method(model: object, method: Callable[..., Any]) -> Make:
    def make(batch: int, length: int) -> Any:
        device = device_of(model, {})
        sizes = {"batch": batch, "length": length, "device": device, "dtype": dtype_of(model)}
        given, unknown = {}, []
        for name, parameter in inspect.signature(method).parameters.items():
            meaning = argument_means(name)
            if meaning:
                given[name] = sizes[meaning]
            elif parameter.default is parameter.empty and parameter.kind is not parameter.VAR_KEYWORD:
                unknown.append(name)
        if len(unknown) == 1 and not given:
            given, unknown = {unknown[0]: batch}, []  # init_hidden(n): what else could it be?
        if unknown:
            raise ModelError(
                f"{method.__name__} wants {', '.join(unknown)}: unknown here",
                remedy="adapter={'state': lambda batch: ...} makes the first state",
            )
        try:
            with torch.device(device):
                return method(**given)
        except Exception as error:
            shown = ", ".join(f"{name}={value}" for name, value in given.items())
            raise ModelError(
                f"{method.__name__}({shown}) failed: {type(error).__name__}: {error}",
                remedy="adapter={'state': lambda batch: ...} makes the first state",
            ) from error

    return make
