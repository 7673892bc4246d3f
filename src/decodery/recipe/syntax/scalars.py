"""Plain scalars as YAML 1.2's core schema reads them, and the ones that YAML 1.1 reads otherwise.

Source: yaml.org/spec/1.2.2, section 10.3.2; for 1.1 the type repository at yaml.org/type.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

Value = None | bool | int | float | str
MAX_NUMBER = 64
"""Characters of a number. Longer ones are no parameter of anything, and slow to convert."""

_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT = re.compile(r"[-+]?(?:0|[1-9][0-9]*)\Z")
_OCTAL = re.compile(r"0o[0-7]+\Z")
_HEX = re.compile(r"0x[0-9a-fA-F]+\Z")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z")
_INFINITE = re.compile(r"([-+]?)\.(?:inf|Inf|INF)\Z")
_NAN = frozenset({".nan", ".NaN", ".NAN"})

_NUMBER = "write a number or, for a string, put it in quotes"
_AMBIGUOUS = (
    (re.compile(r"(?:y|yes|on)\Z", re.IGNORECASE), "true", "write true"),
    (re.compile(r"(?:n|no|off)\Z", re.IGNORECASE), "false", "write false"),
    (re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt ][-+0-9:. TtZz]*)?\Z"), "a date", _NUMBER),
    (re.compile(r"[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?\Z"), "a number to base 60", _NUMBER),
    (re.compile(r"[-+]?0b[01_]+\Z"), "a binary number", _NUMBER),
    (re.compile(r"[-+]?0[0-9_]+\Z"), "an octal number", "write it without the zeros in front"),
    (re.compile(r"[-+]?0x[0-9a-fA-F_]+\Z"), "a hexadecimal number", _NUMBER),
    (
        re.compile(r"[-+]?(?=[^_]*_)(?:[0-9][0-9_]*(?:\.[0-9_]*)?|\.[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?\Z"),
        "a number with separators",
        "write it without '_'",
    ),
)
_LEADING_ZERO = re.compile(r"[-+]?0[0-9_]+\Z")


class NumberTooLong(ValueError):
    """A number of more than `MAX_NUMBER` characters."""


@dataclass(frozen=True, slots=True)
class Ambiguity:
    """Why a plain scalar is refused where no string is expected: what YAML 1.1 reads, and what to write."""

    meaning: str
    remedy: str


def resolve(text: str) -> Value:
    """The value of a plain scalar. Ambiguous ones are strings. Raises `NumberTooLong`."""
    if text in _NULL:
        return None
    if text in _BOOL:
        return _BOOL[text]
    if text[0] not in "+-.0123456789":
        return text
    return _number(text)


def ambiguity(text: str) -> Ambiguity | None:
    """What YAML 1.1 makes of a plain scalar that is a string to YAML 1.2 (or the other way round)."""
    for pattern, meaning, remedy in _AMBIGUOUS:
        if pattern.match(text):
            return Ambiguity(meaning, remedy)
    return None


def _number(text: str) -> Value:
    infinite = _INFINITE.match(text)
    if infinite:
        return float(f"{infinite[1]}inf")
    if text in _NAN:
        return float("nan")
    for pattern, base in ((_INT, 10), (_OCTAL, 8), (_HEX, 16)):
        if pattern.match(text):
            return int(_short(text), base)
    if _FLOAT.match(text) and not _LEADING_ZERO.match(text):
        return float(_short(text))
    return text


def _short(text: str) -> str:
    if len(text) > MAX_NUMBER:
        raise NumberTooLong(text)
    return text
