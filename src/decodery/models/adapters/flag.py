"""Models that keep their state when told so: `model(x, use_cache=True)`, and a method that clears it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from ...contracts.errors import ModelError
from ...contracts.protocols import Options
from ..caches import CacheControl
from ..calling import module_of, name_of, read_call
from ..options import check_options
from ..state.names import state_argument
from .internal import OWN, InternalModel, InternalSession

FLAGS = (
    "use_cache",
    "use_kv_cache",
    "use_kvcache",
    "incremental",
    "incremental_decoding",
    "cached",
    "decoding",
)


def probe(model: object, options: Options) -> str | None:
    """A module with a switch for its cache, a method that clears it, and no argument for a state."""
    if not callable(model) or inspect.isclass(model):
        return None
    call, control = read_call(model), CacheControl(module_of(model))
    flag = _flag_of(call.accepts)
    if not flag or not control.found or state_argument(call, options):
        return None
    return f"{name_of(model)}{call.shown} takes {flag}; {control.evidence()}"


class FlagModel(InternalModel):
    """`model(x, use_cache=True)`; places are counted in the module. See `InternalModel` for the options."""

    def __init__(self, model: Callable[..., Any], options: Options) -> None:
        check_options(options, "flag", OWN)
        super().__init__(model, options)
        self.flag = _flag_of(self.call.accepts)
        self.called = f"takes {self.flag}"
        if not self.flag or not self.cache.found:
            raise ModelError(
                f"{name_of(model)}{self.call.shown} has no switch for a cache that a method clears",
                remedy=f"known are {', '.join(FLAGS)}; adapter='auto' finds out what it has",
            )
        self.settle(options, self.plain_call())

    def arguments(self, session: InternalSession, start: int, count: int) -> dict[str, Any]:
        return {self.flag: True}


def _flag_of(accepted: frozenset[str]) -> str:
    return next((name for name in FLAGS if name in accepted), "")
