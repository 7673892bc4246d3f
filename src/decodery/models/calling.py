"""How a model wants to be called, read from its signature; and the module behind a callable."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ..contracts.errors import DecoderyError, ModelError
from ..contracts.protocols import Options
from .outputs import describe, picked

TOKENS = (
    "input_ids", "idx", "tokens", "token_ids", "ids", "in_idx", "x", "xs", "inputs", "input", "inp", "src",
    "seq", "toks", "input_tokens", "token", "input_id",
)  # fmt: skip
"""What projects call the argument that holds token ids."""

Form = Literal["batch", "column", "row", "list", "number"]
"""How ids are handed over: (B, T); (B,) for one token a row; and for models of one row (T,), a list, an int."""

WRAPPERS = ("DistributedDataParallel", "DataParallel", "FullyShardedDataParallel")


@dataclass(frozen=True, slots=True)
class Call:
    """A signature as decoding sees it.

    tokens    the keyword that takes the ids, "" when they are the first positional argument
    accepts   every argument that may be given by name
    required  arguments beside the ids that have no default
    shown     the signature as text, for reports
    form, time_first, pick
              how ids go in, whether (T, B) is meant by it, and what takes the logits out of the answer
    """

    tokens: str = ""
    accepts: frozenset[str] = field(default_factory=frozenset)
    required: tuple[str, ...] = ()
    shown: str = "(...)"
    form: Form = "batch"
    time_first: bool = False
    pick: object = None

    def __call__(self, model: Callable[..., Any], ids: Tensor, inputs: dict[str, Any]) -> object:
        """(B, T) int64 -> whatever the model returns."""
        given = self._formed(ids)
        return model(**{self.tokens: given}, **inputs) if self.tokens else model(given, **inputs)

    def logits_of(self, output: object) -> object:
        """What the user said the logits are, or the whole answer."""
        return output if self.pick is None else picked(output, self.pick)

    def _formed(self, ids: Tensor) -> object:
        if self.form == "batch":
            return ids.t() if self.time_first else ids  # (B, T) -> (T, B)
        if self.form == "column":
            return ids[:, -1]  # (B, 1) -> (B,)
        row = ids[0]  # (1, T) -> (T,)
        return row if self.form == "row" else row.tolist() if self.form == "list" else int(row[-1])


def read_call(model: object) -> Call:
    """Read how `model` is called. Tokens are found by name; failing that, the first argument takes them."""
    try:
        signature = inspect.signature(_function(model))
    except (TypeError, ValueError):
        return Call()
    named = [p for p in signature.parameters.values() if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    if not named:
        return Call(shown=_shown(signature))
    known = [p for p in named if p.name in TOKENS]
    tokens = named[0] if named[0] in known or not known else min(known, key=lambda p: TOKENS.index(p.name))
    positional = tokens is named[0] and tokens.kind is not tokens.KEYWORD_ONLY
    others = [p for p in named if p is not tokens]
    return Call(
        # By position where possible: forward hooks that were written for model(x) then see x.
        tokens="" if positional else tokens.name,
        accepts=frozenset(p.name for p in named if p.kind is not p.POSITIONAL_ONLY),
        required=tuple(p.name for p in others if p.default is p.empty),
        shown=_shown(signature),
    )


def call_of(model: object, options: Options) -> Call:
    """`read_call`, and what the user says about it: `logits`, `time_first`."""
    return replace(
        read_call(model), time_first=bool(options.get("time_first", False)), pick=options.get("logits")
    )


def unwrap(model: object) -> object:
    """The user's own model below torch.compile, DDP, FSDP, functools.partial and bound methods."""
    while True:
        if isinstance(model, functools.partial):
            model = model.func
        elif inspect.ismethod(model) and isinstance(model.__self__, nn.Module):
            model = model.__self__
        elif isinstance(model, nn.Module) and isinstance(getattr(model, "_orig_mod", None), nn.Module):
            model = model._orig_mod
        elif isinstance(model, nn.Module) and type(model).__name__ in WRAPPERS:
            model = model.module
        else:
            return model


def module_of(model: object) -> nn.Module | None:
    """The `nn.Module` behind a callable, if there is one."""
    inner = unwrap(model)
    return inner if isinstance(inner, nn.Module) else None


def name_of(model: object) -> str:
    """What messages call a model: its class, or a function's own name."""
    inner = unwrap(model)
    name = getattr(inner, "__name__", None)
    return name if isinstance(name, str) else type(inner).__name__


def run(
    model: Callable[..., Any], call: Call, ids: Tensor, inputs: dict[str, Any], name: str | None = None
) -> object:
    """Call the model; what goes wrong inside becomes a `ModelError` that says what was asked of it, by `name`."""
    try:
        return call(model, ids, inputs)
    except (DecoderyError, torch.cuda.OutOfMemoryError):
        raise
    except Exception as error:
        given = "".join(f", {key}={_brief(value)}" for key, value in inputs.items())
        reason = f"{type(error).__name__}: {error}".strip().splitlines()[0]
        raise ModelError(
            f"{name or name_of(model)}{call.shown} failed on ids of shape {tuple(ids.shape)}{given}: {reason}",
            remedy="call the model like that by hand; if it wants to be called differently, hand over "
            "a function of the ids: Decoder(lambda ids: model(...), vocab_size=...)",
        ) from error


def _function(model: object) -> Callable[..., Any]:
    # A partial or a bound method says what is left to fill in; modules' wrappers say (*args, **kwargs).
    if isinstance(model, functools.partial) or inspect.ismethod(model):
        return model
    inner = unwrap(model)
    if isinstance(inner, nn.Module):
        return inner.forward
    if not callable(inner):
        raise TypeError(f"{inner!r} cannot be called")
    return inner


def _shown(signature: inspect.Signature, limit: int = 80) -> str:
    names = [
        name if p.default is p.empty else f"{name}={p.default!r}" for name, p in signature.parameters.items()
    ]
    text = ", ".join(names)
    return f"({text})" if len(text) <= limit else f"({text[: limit - 3]}...)"


def _brief(value: object) -> str:
    return repr(value) if isinstance(value, (int, float, str, bool)) else describe(value)
