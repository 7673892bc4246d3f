"""What pydantic found wrong with parameters, in a reader's words: the place, the value, and what to do."""

from __future__ import annotations

import dataclasses
import difflib
import json
import re
from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Literal, get_args, get_origin

from pydantic_core import ErrorDetails

from .errors import ParamProblem

_BOUNDS = {"gt": "greater than", "ge": "at least", "lt": "less than", "le": "at most"}
# How pydantic calls the branches of a union, as a part of the place: "bool", "literal['never']", "constrained-int".
_BRANCH = re.compile(r"(bool|int|float|str|none)$|(constrained|function)-|(literal|tuple|list|nullable)\[")
_LISTS = dict.fromkeys(("tuple_type", "list_type"), "input should be a list")
_OWN_WORDS = {"too_short": "at least one is needed", **_LISTS}


def told(cls: type, names: Mapping[str, str], details: Sequence[ErrorDetails]) -> list[ParamProblem]:
    """The mistakes of one params class; `names` are the accepted names of its parameters -> their fields."""
    found: dict[str, ParamProblem] = {}
    for detail in details:
        branch = _branch(detail)
        place = detail["loc"][:branch]
        path = ".".join(map(str, place))
        if detail["type"] == "too_short" and detail["input"] and any(p.startswith(path) for p in found):
            continue  # it is short of the item that was told of already
        if path not in found:
            found[path] = _problem(path, detail, cls, names)
        elif branch is not None:
            old, more = found[path], _lower_first(detail["msg"]).removeprefix("input should be ")
            found[path] = dataclasses.replace(old, message=f"{old.message} or {more}")
    return list(found.values())


def _branch(detail: ErrorDetails) -> int | None:
    """Where in the place a union begins to name its branch, which is none of the reader's; None without a union."""
    places = enumerate(detail["loc"])
    return next((i for i, part in places if i and isinstance(part, str) and _BRANCH.match(part)), None)


def _problem(path: str, detail: ErrorDetails, cls: type, names: Mapping[str, str]) -> ParamProblem:
    name = str(detail["loc"][0]) if detail["loc"] else ""
    value, kind = detail.get("input"), detail["type"]
    if kind in ("unexpected_keyword_argument", "extra_forbidden"):
        known = [field.name for field in dataclasses.fields(cls)]
        close = difflib.get_close_matches(name, known, n=1)
        remedy = f"did you mean {close[0]!r}?" if close else f"it has: {', '.join(known) or 'no parameters'}"
        return ParamProblem(path, f"no parameter {name!r}", remedy)
    if kind in ("missing", "missing_argument", "missing_keyword_only_argument"):
        if len(detail["loc"]) > 1:
            whole = ".".join(map(str, detail["loc"][:-1]))
            return ParamProblem(whole, f"{whole} = {_shown(value)}: too few values", "")
        field = names.get(name, "")
        example = next(iter(_choices(cls, field)), "...")
        hint = _allowed(cls, field)
        remedy = f"give it a value, for example '{name}: {example}'"
        return ParamProblem(path, f"{name!r} is missing", f"{remedy}; {hint}" if hint else remedy)
    said = _OWN_WORDS.get(kind) or _lower_first(detail["msg"])
    message = f"{path or 'value'} = {_shown(value)}: {said}"
    if isinstance(value, str) and "string" not in kind and _is_number(value) and isfinite(float(value)):
        return ParamProblem(path, message, f"write {value} without quotes")
    if isinstance(value, bool):
        return ParamProblem(path, message, "write a number; true and false are not numbers here")
    # A validator of one's own says what to do through PydanticCustomError(..., {"remedy": "..."}).
    own = (detail.get("ctx") or {}).get("remedy")
    # The message of a literal has the choices.
    hint = _allowed(cls, names.get(name, ""), choices=kind != "literal_error")
    if kind in _LISTS:
        hint = "write it in brackets"
    return ParamProblem(path, message, str(own) if own else hint)


def _allowed(cls: type, field: str, *, choices: bool = True) -> str:
    """What the params class knows of a parameter: its choices or bounds, and its default."""
    info = getattr(cls, "__pydantic_fields__", {}).get(field)
    if info is None:
        return ""
    limits = {word: getattr(mark, word) for mark in info.metadata for word in _BOUNDS if hasattr(mark, word)}
    bounds = " and ".join(f"{named} {limits[word]}" for word, named in _BOUNDS.items() if word in limits)
    default = info.default if isinstance(info.default, (bool, int, float, str)) else None
    words = _choices(cls, field) if choices else ()
    said = [
        f"it is {', '.join(words[:-1])} or {words[-1]}" if len(words) > 1 else "",
        f"it is {bounds}" if bounds else "",
        "" if default is None else f"the default is {json.dumps(default)}",
    ]
    return "; ".join(filter(None, said))


def _choices(cls: type, field: str) -> tuple[str, ...]:
    """The words that a `Literal` parameter may be, () for any other."""
    info = getattr(cls, "__pydantic_fields__", {}).get(field)
    annotation = getattr(info, "annotation", None)
    return tuple(map(str, get_args(annotation))) if get_origin(annotation) is Literal else ()


def _shown(value: object, limit: int = 60) -> str:
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 3] + "..."


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
