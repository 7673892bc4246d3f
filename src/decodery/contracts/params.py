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
import inspect
import json
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, TypeVar

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
from pydantic_core import PydanticCustomError
from typing_extensions import dataclass_transform

from .errors import InvalidParams, ParamProblem
from .mistakes import told

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
        raise InvalidParams(owner, told(cls, accepted_names(cls), details)) from None


def _plain(value: object) -> object:
    """numpy's and torch's scalars as Python's own, transformers' `{(5, 6): -2.0}` as a list of pairs; everything else
    as it is."""
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:
        return value.item()
    if isinstance(value, dict) and value and all(isinstance(key, tuple) for key in value):
        return [[list(key), part] for key, part in value.items()]
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
