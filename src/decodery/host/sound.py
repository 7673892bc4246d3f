"""What a hook returned, looked over before anyone trusts it: a wrong field is told here, by name, and not met later."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable

from ..contracts.specs import ModelSpec, RecipeSource, Spec, StepSpec

NAME = re.compile(r"[a-z][a-z0-9_]*\Z")
_FREE = (ModelSpec, RecipeSource)  # kinds whose names a recipe never spells
_POINTERS = ("factory", "lowering", "probe", "available", "detector")
_OPTIONAL = ("lowering", "detector")
_SETS, _TUPLES, _TEXTS = (
    ("needs", "traits"),
    ("aliases", "roles", "keywords"),
    ("summary", "reference", "path"),
)


def checked(kind: type[Spec], result: object) -> tuple[Spec, ...]:
    """The records of a hook that returns `kind`. Raises `TypeError` or `ValueError` naming what is wrong."""
    if not isinstance(result, (list, tuple)):
        raise TypeError(f"must return a list of {kind.__name__}, not {type(result).__name__}")
    names: set[str] = set()
    for item in result:
        if not isinstance(item, kind):
            raise TypeError(
                f"must return a list of {kind.__name__}; one of its items is {type(item).__name__}"
            )
        _check_name(item)
        for complaint in _complaints(item):
            raise TypeError(f"{item.name!r}: {complaint}")
        if item.name in names:
            raise ValueError(f"{item.name!r} comes twice")
        names.add(item.name)
    return tuple(result)


def _check_name(item: Spec) -> None:
    if not isinstance(item.name, str):
        raise TypeError(f"{item.name!r} is no name, but {type(item.name).__name__}")
    if not item.name or (not isinstance(item, _FREE) and not NAME.match(item.name)):
        raise ValueError(f"{item.name!r} is no name: small letters, digits and '_', starting with a letter")


def _complaints(item: Spec) -> Iterable[str]:
    fields = {field.name: getattr(item, field.name) for field in dataclasses.fields(item)}
    if isinstance(item, StepSpec) and item.role not in ("processor", "stop"):
        yield f"role = {item.role!r}; it is 'processor' or 'stop'"
    for name in _POINTERS:
        value = fields.get(name)
        if isinstance(value, str) and not _names_code(value):
            yield f"{name} = {value!r}; write 'package.module:attribute'"
        elif name in fields and not (
            isinstance(value, str) or callable(value) or (name in _OPTIONAL and value is None)
        ):
            yield f"{name} is {type(value).__name__}; write 'package.module:attribute'"
    params = fields.get("params")
    if params is not None and not (isinstance(params, type) and dataclasses.is_dataclass(params)):
        yield "params is no class that @params made"
    for names, kind in ((_SETS, frozenset), (_TUPLES, tuple), (_TEXTS, str)):
        for name in names:
            if name in fields and not isinstance(fields[name], kind):
                yield f"{name} is {type(fields[name]).__name__}; it is a {kind.__name__}"


def _names_code(pointer: str) -> bool:
    module, _, attribute = pointer.partition(":")
    return all(part.isidentifier() for part in (*module.split("."), *attribute.split(".")))
