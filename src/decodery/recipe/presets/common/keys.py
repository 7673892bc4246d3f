"""A foreign key and the step parameter that it is, in both directions."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any


class Refused(ValueError):
    """A value that the key does not take; the message says what it takes."""


class CannotWrite(ValueError):
    """A parameter that the key cannot hold; the message says why."""


@dataclass(frozen=True, slots=True)
class Kind:
    """`read` makes a parameter of a key's plain value or raises `Refused`; `write` goes back, or `CannotWrite`."""

    read: Callable[[Any], object]
    write: Callable[[Any], object] = lambda value: value


@dataclass(frozen=True, slots=True)
class Key:
    """`param` is any accepted name of the step's parameter. `default` is what the engine takes where the key is
    missing. `scale`: the foreign unit is 10**scale of ours. `least` and `most` are what the engine takes. A
    `shared` key belongs to several knobs; whoever reads it reports on it once."""

    name: str
    param: str
    kind: Kind
    default: object = None
    scale: int = 0
    least: float = -math.inf
    most: float = math.inf
    shared: bool = False

    def read(self, value: object) -> object:
        """The parameter. Raises `Refused`."""
        found = self.kind.read(value)
        return _scaled(found, self.scale) if self.scale and isinstance(found, float) else found

    def write(self, value: object) -> object:
        """The key's value. Raises `CannotWrite`."""
        found = self.kind.write(value)
        return _scaled(found, -self.scale) if self.scale and isinstance(found, float) else found


@dataclass(frozen=True, slots=True)
class Knob:
    """The keys of one step. The first says whether the step is there at all: `off` of its value says not.

    `neutral` is the first key's value that switches the step off, written where the engine's default would not.
    `fixed` are parameters that the engine has no key for.
    """

    step: str
    keys: tuple[Key, ...]
    off: Callable[[Any], bool] = lambda value: False
    neutral: object = None
    fixed: Mapping[str, object] = field(default_factory=dict)

    @property
    def is_on_by_default(self) -> bool:
        """The engine applies the step although nobody asked."""
        default = self.keys[0].default
        return default is not None and not self.off(default)


def _scaled(value: float, scale: int) -> float:
    # In decimal, so that 3 units of 1e-4 are 0.0003 and not 0.00030000000000000003.
    return float(Decimal(repr(value)).scaleb(scale))


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise Refused("it is a number")
    try:
        found = float(value)
    except OverflowError:
        found = math.inf
    if not math.isfinite(found):
        raise Refused("it is a finite number")
    return found


def _integer(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise Refused("it is a whole number")
    if abs(value) > 2**64:
        raise Refused("it is a whole number of at most 64 bits")
    return value


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise Refused("it is true or false")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise Refused("it is a text")
    return value


def _texts(value: object) -> tuple[str, ...]:
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, (list, tuple)) or not all(isinstance(item, str) for item in items):
        raise Refused("it is a text or a list of texts")
    return tuple(items)


def _ids(value: object) -> tuple[int, ...]:
    items = [value] if isinstance(value, int) else value
    if not isinstance(items, (list, tuple)):
        raise Refused("it is a token id or a list of them")
    return tuple(_id(item) for item in items)


def _id(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 2**53:
        raise Refused("a token id is a whole number from 0")
    return value


def _sequences(value: object) -> tuple[tuple[int, ...], ...]:
    if not isinstance(value, (list, tuple)) or not all(isinstance(item, (list, tuple)) for item in value):
        raise Refused("it is a list of lists of token ids")
    return tuple(_ids(item) for item in value)


def _biases(value: object) -> tuple[tuple[tuple[int, ...], float], ...]:
    if not isinstance(value, Mapping):
        raise Refused("it maps token ids to numbers")
    pairs = []
    for key, bias in value.items():
        digits = str(key)
        if not (digits.isascii() and digits.isdecimal() and len(digits) < 17):
            raise Refused("its keys are token ids")
        pairs.append(((_id(int(digits)),), _number(bias)))
    return tuple(pairs)


def _written_biases(pairs: Any) -> dict[str, float]:
    if any(len(sequence) != 1 for sequence, _ in pairs):
        raise CannotWrite("a sequence of several tokens has no place there")
    if len({sequence for sequence, _ in pairs}) < len(pairs):
        raise CannotWrite("a token with two biases has no place there")
    return {str(sequence[0]): bias for sequence, bias in pairs}


def _written_tokens(pairs: Any) -> dict[str, float]:
    if any(isinstance(token, str) for token, _ in pairs):
        raise CannotWrite("a token given as text has no place there: give its id")
    return {str(token): bias for token, bias in pairs}


ANY = Kind(lambda value: value)
NUMBER = Kind(_number)
INTEGER = Kind(_integer)
FLAG = Kind(_flag)
TEXT = Kind(_text)
TEXTS = Kind(_texts, list)
IDS = Kind(_ids, list)
ID_SEQUENCES = Kind(_sequences, lambda value: [list(item) for item in value])
TOKEN_BIASES = Kind(_biases, _written_biases)
"""OpenAI's {"15043": -1.5}."""
TEXT_BIASES = Kind(_biases, _written_tokens)
"""The same on the way out of a step that also takes texts."""
