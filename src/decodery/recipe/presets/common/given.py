"""Foreign text -> keys with values and places. Nothing here knows what the keys mean."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...report import Problems, Source, Span
from ...syntax.nodes import MAX_DEPTH, MAX_NODES

_SPACE = re.compile(r"[ \t\n\r]*")
_HALF = re.compile("[\ud800-\udfff]")
_MAX_DIGITS = 60
_MAX_KEYS = 1000
_REMEDY = "write the parameters as one JSON object"


@dataclass(frozen=True, slots=True)
class Given:
    """A key as the file spells it, its value as plain data, and where the key stands."""

    key: str
    value: object
    span: Span


class _NotPlain(ValueError):
    """JSON that is not for us: NaN, endless numbers."""


def from_mapping(data: Mapping[str, object], name: str) -> list[Given]:
    """Keys of a dict, which have no place but the dict itself. Arrays become lists, and objects their class's name:
    no file could hold them."""
    return [Given(str(key), _as_data(value), Span(Source(name))) for key, value in data.items()]


def from_json(text: str, source: Source, problems: Problems) -> list[Given]:
    """The keys of one JSON object, each at its place; mistakes become problems."""
    found: list[Given] = []
    try:
        end = _members(text, _skip(text, 0), found, source, problems)
        if _skip(text, end) < len(text):
            raise json.JSONDecodeError("text after the object", text, _skip(text, end))
    except json.JSONDecodeError as error:
        message = f"not a JSON object: {error.msg[:1].lower()}{error.msg[1:]}"
        problems.add(Span(source, error.lineno, error.colno, 1), "syntax", message, _REMEDY)
    except _NotPlain as error:
        problems.add(Span(source), "syntax", str(error), _REMEDY)
    except RecursionError:
        problems.add(Span(source), "too-deep", "the JSON is nested too deeply", _REMEDY)
    return [] if problems else found


def check_size(given: list[Given], problems: Problems) -> None:
    """No value holds more than a recipe may, in number or in depth, or half of a character."""
    for found in given:
        fault = _fault(found.value)
        if fault:
            problems.add(found.span, "bad-value", f"{found.key}: {fault}", "take it out")


def _as_data(value: Any, depth: int = 0) -> object:
    if callable(getattr(value, "tolist", None)):
        value = value.tolist()
    if isinstance(value, (set, frozenset)):
        value = sorted(value, key=repr)
    if isinstance(value, (Mapping, list, tuple)) and depth > MAX_DEPTH:
        return value if isinstance(value, list) else [value]  # too deep, which check_size says
    if isinstance(value, Mapping):
        return {key: _as_data(item, depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_as_data(item, depth + 1) for item in value]
    plain = value is None or isinstance(value, (bool, int, float, str))
    return value if plain else f"<{type(value).__name__}>"


def _members(text: str, start: int, found: list[Given], source: Source, problems: Problems) -> int:
    """Read `{...}` at `start` into `found` -> the index behind it."""
    if text[start : start + 1] != "{":
        raise json.JSONDecodeError("it begins otherwise than with {", text, start)
    at = _skip(text, start + 1)
    seen: set[str] = set()
    while text[at : at + 1] != "}":
        if text[at : at + 1] != '"':
            raise json.JSONDecodeError("a key in double quotes belongs here", text, at)
        key, behind = _DECODER.raw_decode(text, at)
        span = _span(text, at, behind, source)
        if key in seen:
            problems.add(span, "duplicate-key", f"the key {key!r} occurs twice", "keep one of them")
        seen.add(key)
        if len(seen) > _MAX_KEYS:
            raise _NotPlain(f"more than {_MAX_KEYS:,} keys")
        colon = _skip(text, behind)
        if text[colon : colon + 1] != ":":
            raise json.JSONDecodeError("a colon belongs behind the key", text, colon)
        value, behind = _DECODER.raw_decode(text, _skip(text, colon + 1))
        found.append(Given(key, value, span))
        at = _skip(text, behind)
        if text[at : at + 1] == ",":
            at = _skip(text, at + 1)
            if text[at : at + 1] == "}":
                raise json.JSONDecodeError("a key belongs behind the comma", text, at)
        elif text[at : at + 1] != "}":
            raise json.JSONDecodeError("a comma belongs between two keys", text, at)
    return at + 1


def _skip(text: str, at: int) -> int:
    space = _SPACE.match(text, at)
    return space.end() if space else at


def _span(text: str, start: int, end: int, source: Source) -> Span:
    line = text.count("\n", 0, start) + 1
    return Span(source, line, start - text.rfind("\n", 0, start), end - start)


def _integer(digits: str) -> int:
    if len(digits) > _MAX_DIGITS:
        raise _NotPlain(f"a number of {len(digits)} digits")
    return int(digits)


def _constant(word: str) -> Any:
    raise _NotPlain(f"{word} is not a number of JSON")


_DECODER = json.JSONDecoder(parse_int=_integer, parse_constant=_constant)


def _fault(value: object) -> str:
    """What is wrong with the size of a value, or ""."""
    nodes, pending = 0, [(value, 1)]
    while pending:
        item, depth = pending.pop()
        nodes += 1
        if nodes > MAX_NODES:
            return f"it holds more than {MAX_NODES:,} values"
        if depth > MAX_DEPTH:  # before its parts are looked at: they may be the thing itself
            return f"it is nested more than {MAX_DEPTH} levels deep"
        if isinstance(item, str) and _HALF.search(item):
            return "half of a character in a text"
        if isinstance(item, float) and not math.isfinite(item):
            return "it is not finite"
        if isinstance(item, Mapping):
            pending += [(part, depth + 1) for pair in item.items() for part in pair]
        elif isinstance(item, (list, tuple)):
            pending += [(part, depth + 1) for part in item]
    return ""
