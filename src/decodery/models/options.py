"""What is handed over with a model, and the model itself, looked at before anything is called."""

from __future__ import annotations

import difflib
import inspect
import os
from collections.abc import Callable, Sequence

from torch import nn

from ..contracts.errors import InvalidInput, ModelError
from ..contracts.protocols import Options
from .calling import module_of, name_of
from .facts import real_vocab_size

FACTS = ("vocab_size", "max_length", "device", "eos_token_id", "bos_token_id", "pad_token_id")
COMMON = (*FACTS, "logits", "time_first", "compile")
"""Facts of the model, and how ids go in and logits come out: what adapters take, unless they say otherwise."""


class UnknownOption(InvalidInput):
    """An option that an adapter does not have; another one may."""


def check_options(
    options: Options, adapter: str, own: Sequence[str] = (), without: Sequence[str] = ()
) -> None:
    """Raises `UnknownOption` for an option that `adapter` does not have; `own` are those beside the common ones,
    `without` those of the common ones that mean nothing to it."""
    known = tuple(name for name in (*own, *COMMON) if name not in without)
    for name in options:
        if name in known:
            continue
        close = difflib.get_close_matches(str(name), known, n=1)
        raise UnknownOption(
            f"adapter {adapter!r} has no option {name!r}",
            remedy=f"did you mean {close[0]!r}?" if close else f"it has {', '.join(known)}",
        )


def check_numbers(options: Options) -> None:
    """Raises `InvalidInput` for a vocabulary or context that is no number of tokens."""
    for name in ("vocab_size", "max_length"):
        value = options.get(name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            raise InvalidInput(f"{name} = {value!r}", remedy="give a whole number from 1 on")


def told_width(options: Options, model: object = None) -> int | None:
    """The vocabulary that the user told, or `model` beside a padded one. It is believed: logits of ids beyond it are
    cut off."""
    value = options.get("vocab_size")
    return value if isinstance(value, int) else real_vocab_size(model)


def check_width(told: int | None, width: int | None, name: str) -> None:
    """Raises `ModelError` for a vocabulary larger than the logits are wide; a smaller one is padded."""
    if told is not None and width is not None and told > width:
        raise ModelError(
            f"vocab_size is {told}, but {name} answers with {width} numbers a token",
            remedy=f"leave vocab_size out, or give {width} or less; hidden states instead of logits?",
        )


def if_it_answers(ask: Callable[[], int]) -> int | None:
    """What a trial with one token says, None for models that want more than that."""
    try:
        return ask()
    except ModelError:
        return None


def check_model(model: object) -> None:
    """Raises `ModelError` for what is no model yet: a class, a name, a module without weights."""
    if inspect.isclass(model):
        raise ModelError(
            f"{model.__name__} is a class, not a model",
            remedy=f"this is a class: hand over an instance, Decoder({model.__name__}(...))",
        )
    if isinstance(model, (str, os.PathLike)):
        raise ModelError(
            f"{os.fspath(model)!r} is a name, not a model",
            remedy="load the model first and hand over the object; the command line loads by name: "
            f"decodery generate -m {os.fspath(model)}",
        )
    module = module_of(model)
    if module is not None and _weightless(module):
        raise ModelError(
            f"{name_of(model)} is on the meta device: it has no weights",
            remedy="load them first: model.to_empty(device=...), then model.load_state_dict(...)",
        )


def _weightless(module: nn.Module) -> bool:
    # Weights that are offloaded are on that device too, and a hook fetches them.
    if any(hasattr(part, "_hf_hook") for part in module.modules()):
        return False
    return any(parameter.is_meta for parameter in module.parameters())
