"""Models with a `step(token, state)` beside a forward over the whole text: recurrent ones, most of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...contracts.errors import ModelError
from ...contracts.protocols import Options
from ..calling import module_of, name_of, read_call
from ..state.names import state_argument
from .state import StateModel

STEPS = ("step", "decode_step", "forward_step", "step_forward", "recurrent_step")


def probe(model: object, options: Options) -> str | None:
    """A module with a method `step(token, state)`."""
    method = _step_of(model)
    if method is None:
        return None
    call = read_call(method)
    return (
        f"{name_of(model)}.{method.__name__}{call.shown} takes one token and a state"
        if call.accepts
        else None
    )


class StepModel(StateModel):
    """Calls the step method, token by token; the forward over the whole text is what it is held against."""

    adapter = "step"

    def entry(self, model: Callable[..., Any]) -> Callable[..., Any]:
        """The step method. Raises `ModelError` for a model that has none."""
        method = _step_of(model)
        if method is None:
            raise ModelError(
                f"{name_of(model)} has no method step(token, state)",
                remedy="adapter='auto' finds out what it has",
            )
        return method

    def argument(self) -> str:
        """By name, else whatever is called for beside the token."""
        return state_argument(self.call, self.options) or next(iter(self.call.required), "")


def _step_of(model: object) -> Callable[..., Any] | None:
    module = module_of(model)
    found = (getattr(module, name, None) for name in STEPS)
    return next((method for method in found if callable(method)), None)
