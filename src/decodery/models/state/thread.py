"""How a state goes into a call and comes out of it: candidates, read from a signature and one answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from ..calling import Form
from .names import STATE

Make = Callable[[int, int], Any]
"""`make(batch, length)` -> a first state, or None for an argument that is left out."""


@dataclass(frozen=True, slots=True)
class Out:
    """Where the new state is: an item, a key or an attribute of the answer; "same" is the object that went in, written
    in place."""

    kind: str
    name: Any = None

    def taken(self, output: Any, state: object) -> object:
        if self.kind == "same":
            return state
        if self.kind == "attribute":
            return getattr(output, self.name)
        return output[self.name]

    def __str__(self) -> str:
        where = {"item": "item", "key": "key", "attribute": "attribute"}
        return "written in place" if self.kind == "same" else f"returned as {where[self.kind]} {self.name!r}"


@dataclass(frozen=True, slots=True)
class Thread:
    """One way of threading state through calls.

    argument    takes the state
    first       makes the state of a new session, `begun` says how, in words
    out         where the new state is
    flags       switched on in every call
    prefix      all ids are passed again each time, not the new ones only
    position    also takes the number of tokens before, "" if not
    form, time_first, single
                how ids go in; one token a call
    """

    argument: str
    first: Make
    begun: str = ""
    out: Out = field(default_factory=lambda: Out("same"))
    flags: Mapping[str, Any] = field(default_factory=dict)
    prefix: bool = False
    position: str = ""
    form: Form = "batch"
    time_first: bool = False
    single: bool = False

    def __str__(self) -> str:
        given = ", ".join([f"{self.argument}=state", *(f"{name}=True" for name in self.flags)])
        words = [f"called with {given}", f"the new state is {self.out}"]
        words += [self.begun] if self.begun else []
        words += ["the whole text is passed each time"] if self.prefix else []
        words += ["one token a call"] if self.single else []
        words += ["time first"] if self.time_first else []
        return "; ".join(words)


def outs_of(output: Any, told: object, had_state: bool) -> Iterator[Out]:
    """Places in an answer where the state could be, the likeliest first."""
    if told is not None:
        kind = "item" if isinstance(told, int) else "key" if isinstance(output, Mapping) else "attribute"
        yield Out(kind, told)
        return
    words = (*STATE, "presents", "present", "present_key_values", "new_state", "new_cache", "next_state",
             "next_cache", "intermediates", "last_hidden", "rnn_states", "final_state")  # fmt: skip
    if isinstance(output, Mapping):
        keys = [key for key in output if output[key] is not None and key not in ("loss", "logits")]
        yield from (Out("key", key) for key in sorted(keys, key=lambda k: (k not in words, str(k))))
    elif isinstance(output, (tuple, list)) and not hasattr(output, "_fields"):
        # The last ones first: losses and hidden states stand between the logits and the state.
        yield from (Out("item", at) for at in range(len(output) - 1, 0, -1) if _could_be(output[at]))
        if output and not isinstance(output[0], Tensor) and _could_be(output[0]):
            yield Out("item", 0)
    elif not isinstance(output, Tensor):
        named = [name for name in words if _could_be(getattr(output, name, None))]
        others = [name for name in getattr(output, "_fields", ()) if name not in named]
        yield from (Out("attribute", name) for name in named)
        yield from (Out("attribute", n) for n in others if n not in ("logits", "loss"))
    if had_state:
        yield Out("same")


def _could_be(value: object) -> bool:
    return (
        value is not None
        and not isinstance(value, (str, int, float))
        and not (isinstance(value, Tensor) and value.dim() == 0)
    )
