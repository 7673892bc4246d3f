"""Parameters of steps and strategies: the one place where names, bounds and defaults live.

A `@params` class is a frozen dataclass that pydantic validates strictly. YAML, `-o` and `Pipeline.add` all go
through `validate_params`, so `1` is a fine float while `"1"` and `true` are not, and every mistake of a step comes
at once.

    @params
    class TopP:
        p: Annotated[Probability, alias("top_p")]
        min_keep: PositiveInt = 1
"""

from __future__ import annotations

import dataclasses
import difflib
import inspect
import json
from collections.abc import Mapping
from functools import cache
from math import isfinite
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

from pydantic import (
    AfterValidator,
    AliasChoices,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    WithJsonSchema,
)
from pydantic.dataclasses import dataclass as pydantic_dataclass
from pydantic_core import ErrorDetails, PydanticCustomError
from typing_extensions import dataclass_transform

from .errors import InvalidParams, ParamProblem

__all__ = [
    "FiniteFloat",
    "NonNegativeFloat",
    "NonNegativeInt",
    "OpenProbability",
    "PositiveFloat",
    "PositiveInt",
    "Probability",
    "TokenIds",
    "TokenSequences",
    "accepted_names",
    "alias",
    "first_field",
    "non_default_values",
    "param_values",
    "params",
    "validate_params",
]

T = TypeVar("T")
_BOUNDS = {"gt": "greater than", "ge": "at least", "lt": "less than", "le": "at most"}


def alias(*others: str) -> Any:
    """Further names of a parameter, usually Hugging Face's: `p: Annotated[Probability, alias("top_p")]`.

    The field's own name is always accepted and is the one that is written out.
    """
    return _Alias(others)


@dataclasses.dataclass(frozen=True)
class _Alias:
    names: tuple[str, ...]


@dataclass_transform(frozen_default=True, kw_only_default=True)
def params(cls: type[T]) -> type[T]:
    """Make `cls` a frozen, keyword-only dataclass that validates strictly and refuses unknown names, NaN and inf."""
    hints = inspect.get_annotations(cls)
    for name, hint in hints.items():
        if isinstance(hint, str):
            raise TypeError(
                f"{cls.__name__}.{name}: params classes need real annotations; "
                "remove 'from __future__ import annotations' from the module"
            )
        names = [
            n for meta in getattr(hint, "__metadata__", ()) if isinstance(meta, _Alias) for n in meta.names
        ]
        if names:
            hints[name] = Annotated[hint, Field(validation_alias=AliasChoices(name, *names))]
    cls.__annotations__ = hints
    if cls.__doc__ is None:
        cls.__doc__ = (
            f"Parameters: {', '.join(hints)}."  # else it is made of the signature, which takes a while
        )
    config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, defer_build=True)
    return pydantic_dataclass(cls, config=config, frozen=True, kw_only=True)  # type: ignore[return-value]


def _one_or_many(value: object) -> object:
    # pydantic hands a before-validator Python objects, and its strict tuple takes nothing but a tuple.
    if isinstance(value, list):
        return tuple(value)
    return (value,) if isinstance(value, int) and not isinstance(value, bool) else value


def _not_huge(value: int) -> int:
    # Lengths are added to such numbers in 64 bits; nobody means one of this size.
    if value > 2**53:
        raise PydanticCustomError(
            "too_large", "too large a number", {"remedy": "leave the step out, or give less"}
        )
    return value


PositiveInt = Annotated[int, Field(gt=0), AfterValidator(_not_huge)]
NonNegativeInt = Annotated[int, Field(ge=0), AfterValidator(_not_huge)]
FiniteFloat = Annotated[float, Field(allow_inf_nan=False)]
PositiveFloat = Annotated[float, Field(gt=0)]
NonNegativeFloat = Annotated[float, Field(ge=0)]
Probability = Annotated[float, Field(ge=0, le=1)]
"""0 and 1 included."""
OpenProbability = Annotated[float, Field(gt=0, lt=1)]
"""0 and 1 excluded."""
_ID = {"type": "integer", "minimum": 0}
TokenIds = Annotated[
    tuple[NonNegativeInt, ...],
    BeforeValidator(_one_or_many),
    Field(min_length=1),
    # pydantic sees the tuple alone; what it is made from is for us to say.
    WithJsonSchema({"anyOf": [_ID, {"type": "array", "items": _ID, "minItems": 1}]}),
]
"""One token id or a list of them; always held as a tuple."""
TokenSequences = Annotated[
    tuple[Annotated[tuple[NonNegativeInt, ...], Field(min_length=1)], ...], Field(min_length=1)
]
"""A list of token sequences."""


@cache
def _adapter(cls: type) -> TypeAdapter[Any]:
    return TypeAdapter(cls)


def first_field(cls: type) -> str | None:
    """The parameter that a lone value (`temperature: 0.7`) sets: the first field, None if there is none."""
    fields = dataclasses.fields(cls)
    return fields[0].name if fields else None


def accepted_names(params: type | None) -> dict[str, str]:
    """Every accepted name of every parameter -> the field that it sets."""
    if params is None:
        return {}
    names = {field.name: field.name for field in dataclasses.fields(params)}
    for name, info in getattr(params, "__pydantic_fields__", {}).items():
        for choice in getattr(info.validation_alias, "choices", ()):
            names.setdefault(choice, name)
    return names


def validate_params(owner: str, cls: type | None, values: Mapping[str, object]) -> object | None:
    """Build the params object of `owner` (a step's or strategy's name, for messages) from plain values.

    Values that JSON can hold go through JSON, exactly like those of a YAML file; others (a callable, say) are
    validated as Python objects. Raises `InvalidParams` with every mistake.
    """
    if cls is None:
        if values:
            raise InvalidParams(owner, [ParamProblem(key, f"takes no parameter {key!r}") for key in values])
        return None
    values = {name: _plain(value) for name, value in values.items()}
    try:
        text = json.dumps(values)
    except (TypeError, ValueError):
        text = None
    try:
        adapter = _adapter(cls)
        # A strict adapter takes no dict of Python objects for a dataclass; the class takes them by name.
        made: object = adapter.validate_json(text) if text is not None else cls(**values)
        return made
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=True)
        raise InvalidParams(owner, _problems(cls, details)) from None


def _plain(value: object) -> object:
    """numpy's and torch's scalars as Python's own; everything else as it is."""
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:
        return value.item()
    return value


def param_values(params: object | None) -> dict[str, object]:
    """Field name -> value, in the order of declaration."""
    if params is None:
        return {}
    return {f.name: getattr(params, f.name) for f in dataclasses.fields(params)}  # type: ignore[arg-type]


def non_default_values(params: object | None) -> dict[str, object]:
    """Like `param_values`, less the fields that are at their default: what repr and `to_yaml` write."""
    if params is None:
        return {}
    kept = {}
    for field in dataclasses.fields(params):  # type: ignore[arg-type]
        value = getattr(params, field.name)
        default = field.default_factory() if callable(field.default_factory) else field.default
        if (
            field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        ) or value != default:
            kept[field.name] = value
    return kept


def _problems(cls: type, details: list[ErrorDetails]) -> list[ParamProblem]:
    found: dict[str, ParamProblem] = {}
    for detail in details:
        path = ".".join(str(part) for part in detail["loc"])
        # Unions report one problem a branch; the first one is enough for the reader.
        found.setdefault(path, _problem(path, detail, cls))
    return list(found.values())


def _problem(path: str, detail: ErrorDetails, cls: type) -> ParamProblem:
    name = str(detail["loc"][0]) if detail["loc"] else ""
    value, kind = detail.get("input"), detail["type"]
    if kind in ("unexpected_keyword_argument", "extra_forbidden"):
        known = [field.name for field in dataclasses.fields(cls)]
        close = difflib.get_close_matches(name, known, n=1)
        remedy = f"did you mean {close[0]!r}?" if close else f"it has: {', '.join(known) or 'no parameters'}"
        return ParamProblem(path, f"no parameter {name!r}", remedy)
    if kind in ("missing", "missing_argument", "missing_keyword_only_argument"):
        field = accepted_names(cls).get(name, "")
        example = next(iter(_choices(cls, field)), "...")
        told = _allowed(cls, field)
        remedy = f"give it a value, for example '{name}: {example}'"
        return ParamProblem(path, f"{name!r} is missing", f"{remedy}; {told}" if told else remedy)
    message = f"{path or 'value'} = {_shown(value)}: {_lower_first(detail['msg'])}"
    if isinstance(value, str) and "string" not in kind and _is_number(value) and isfinite(float(value)):
        return ParamProblem(path, message, f"write {value} without quotes")
    if isinstance(value, bool):
        return ParamProblem(path, message, "write a number; true and false are not numbers here")
    # A validator of one's own says what to do through PydanticCustomError(..., {"remedy": "..."}).
    own = (detail.get("ctx") or {}).get("remedy")
    said = kind == "literal_error"  # the choices, by the message
    told = _allowed(cls, accepted_names(cls).get(name, ""), choices=not said)
    return ParamProblem(path, message, str(own) if own else told)


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
