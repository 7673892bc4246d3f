"""Specs as plain data, and that data as lines: what `plugins show` prints."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from typing import Any

from ..contracts.specs import Factory, RecipeSource, Spec, StepSpec, StrategySpec
from ..host.source import locate

KINDS = {
    "provide_steps": "steps",
    "provide_strategies": "strategies",
    "provide_adapters": "adapters",
    "provide_models": "models",
    "provide_kernels": "kernels",
    "provide_recipes": "recipes",
}
"""Hook -> what it provides, in words."""


def described(qualified: str, spec: Spec) -> dict[str, Any]:
    """A record as JSON-able data; empty fields are left out."""
    data: dict[str, Any] = {"name": qualified, "kind": type(spec).__name__.removesuffix("Spec").lower()}
    if isinstance(spec, StepSpec):
        data["kind"] = "stop rule" if spec.role == "stop" else spec.role
    if data["kind"] == "recipesource":
        data["kind"] = "recipe"
    for field in ("summary", "formula", "when", "reference", "aliases", "roles", "priority", "path"):
        if getattr(spec, field, None):
            data[field] = getattr(spec, field)
    for field in ("needs", "wants", "traits"):
        if getattr(spec, field, None):
            data[field] = sorted(getattr(spec, field))
    if isinstance(spec, StepSpec | StrategySpec):
        data["parameters"] = parameters(spec.params)
        data["version"] = spec.version
    for field in ("lowering", "detector"):
        if getattr(spec, field, None) is not None:
            data[field] = _pointer(getattr(spec, field))
    if not isinstance(spec, RecipeSource):
        data["factory"], data["source"] = _pointer(spec.factory), str(locate(spec.factory) or "")
    return data


def _pointer(factory: Factory) -> str:
    return factory if isinstance(factory, str) else f"{factory.__module__}:{factory.__qualname__}"


def parameters(cls: type | None) -> list[dict[str, Any]]:
    """Name, type with bounds, default and further names of each field of a @params class, in their order."""
    if cls is None:
        return []
    from pydantic import TypeAdapter  # noqa: PLC0415 (lazy: `plugins list` has no need of pydantic)
    from pydantic.errors import PydanticInvalidForJsonSchema  # noqa: PLC0415

    try:
        schema = TypeAdapter(cls).json_schema()
    except PydanticInvalidForJsonSchema:
        schema = {}  # a callable, say, which no recipe can hold either
    properties, definitions = schema.get("properties", {}), schema.get("$defs", {})
    found = []
    for field in dataclasses.fields(cls):
        entry: dict[str, Any] = {"name": field.name}
        entry["type"] = type_in_words(properties.get(field.name, {}), definitions)
        if field.default is not dataclasses.MISSING:
            entry["default"] = field.default
        elif field.default_factory is not dataclasses.MISSING:
            entry["default"] = field.default_factory()
        else:
            entry["required"] = True
        info = getattr(cls, "__pydantic_fields__", {}).get(field.name)
        choices = getattr(getattr(info, "validation_alias", None), "choices", ())
        others = [str(name) for name in choices if name != field.name]
        if others:
            entry["aliases"] = others
        if properties.get(field.name, {}).get("description"):
            entry["description"] = properties[field.name]["description"]
        found.append(entry)
    return found


def type_in_words(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    """A JSON Schema in a few words: "number, >= 0, <= 1", "list of integers, at least 1 item"."""
    if "$ref" in schema:
        return type_in_words(definitions.get(schema["$ref"].rpartition("/")[2], {}), definitions)
    if "enum" in schema:
        return " | ".join(json.dumps(value) for value in schema["enum"])
    if "const" in schema:
        return json.dumps(schema["const"])
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(type_in_words(branch, definitions) for branch in schema["anyOf"]))
    kind = str(schema.get("type", "any value"))
    if kind == "array" and isinstance(schema.get("items"), Mapping):
        kind = f"list of [{type_in_words(schema['items'], definitions)}]"
    if kind == "object" and isinstance(schema.get("additionalProperties"), Mapping):
        kind = f"mapping to [{type_in_words(schema['additionalProperties'], definitions)}]"
    bounds = [f"{sign} {schema[key]:g}" for key, sign in _BOUNDS.items() if key in schema]
    if schema.get("minItems"):
        bounds.append(f"at least {schema['minItems']}")
    return ", ".join([kind, *bounds])


_BOUNDS = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}


def lines(data: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(text, style) of each line of what `described` gave."""
    yield f"{data['name']}  ({data['kind']})", "bold"
    if "summary" in data:
        yield f"  {data['summary']}", ""
    entries = data.get("parameters", [])
    width = max((len(entry["name"]) for entry in entries), default=0)
    for entry in entries:
        default = "required" if entry.get("required") else f"default {_shown(entry['default'])}"
        also = f"; also {', '.join(entry['aliases'])}" if "aliases" in entry else ""
        told = f"; {entry['description']}" if "description" in entry else ""
        yield f"    {entry['name'].ljust(width)}  {entry['type']}; {default}{also}{told}", ""
    for key, label in (
        ("formula", "formula"),
        ("when", "when"),
        ("aliases", "also called"),
        ("traits", "traits"),
        ("needs", "needs"),
        ("roles", "further models"),
        ("detector", "detector"),
        ("path", "file"),
        ("reference", "reference"),
        ("from", "from"),
        ("source", "source"),
    ):
        if data.get(key):
            value = data[key] if isinstance(data[key], str) else ", ".join(data[key])
            yield f"  {label}: {value}", ""


def _shown(value: object) -> str:
    try:
        return json.dumps(value, ensure_ascii=False)
    except TypeError:
        return repr(value)
