"""Sample parameters for a step whose author gave none, from the JSON Schema of its params class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter
from pydantic.errors import PydanticUserError

from ..contracts.errors import InvalidParams
from ..contracts.specs import StepSpec, StrategySpec
from ..contracts.steps import fill

Values = Mapping[str, Any]
Schema = Mapping[str, Any]

# Ids, counts and strings that the histories of `samples` meet: a row there ends in 2, 1, which reads "cb".
INTEGERS = (2, 1, 5)
NUMBERS = (0.7, 0.05, 1.5)
STRINGS = ("b", "cb")
_NOTHING = object()


def sample_values(
    spec: StepSpec | StrategySpec, given: Values | Sequence[Values] | None
) -> tuple[Values, ...]:
    """The parameter sets to check `spec` with: those `given` (one or several), else derived ones.

    Derived are the defaults with an example for each required field, then the same with one field changed to each
    further example of it. Without any valid set it is `({},)`, and building the step says what is missing.
    """
    if given is not None:
        return (given,) if isinstance(given, Mapping) else tuple(given)
    if spec.params is None:
        return ({},)
    return tuple(values for values in _derived(spec.params) if _is_valid(spec, values)) or ({},)


def _derived(params: type) -> list[Values]:
    try:
        schema = TypeAdapter(params).json_schema(by_alias=False)
    except PydanticUserError:  # a callable, say: no plain value would do
        return []
    fields, defs, required = schema.get("properties", {}), schema.get("$defs", {}), schema.get("required", ())
    found = {name: _examples(field, defs) for name, field in fields.items()}
    if any(not found[name] for name in required):
        return []
    base = {name: found[name][0] for name in required}
    changed = [
        {**base, name: example}
        for name, examples in found.items()
        for example in examples
        if example != (base[name] if name in required else fields[name].get("default", _NOTHING))
    ]
    return [base, *changed]


def _is_valid(spec: StepSpec | StrategySpec, values: Values) -> bool:
    try:
        fill(spec, dict(values))
    except InvalidParams:
        return False
    return True


def _examples(schema: Schema, defs: Mapping[str, Schema]) -> list[Any]:
    """A few values that `schema` allows, the most ordinary first; none where that takes knowledge."""
    if "$ref" in schema:
        return _examples(defs[schema["$ref"].rpartition("/")[2]], defs)
    for key in ("anyOf", "oneOf"):
        if key in schema:
            return [example for branch in schema[key] for example in _examples(branch, defs)]
    if "const" in schema:
        return [schema["const"]]
    if "enum" in schema:
        return list(schema["enum"])
    kind = schema.get("type")
    if kind == "boolean":
        return [True, False]
    if kind == "null":
        return [None]
    if kind == "integer":
        return _within(schema, INTEGERS, 1)
    if kind == "number":
        return _within(schema, NUMBERS, 0.5)
    if kind == "string":
        return [text for text in STRINGS if len(text) >= schema.get("minLength", 0)]
    if kind == "array":
        return _arrays(schema, defs)
    if kind == "object":
        return _objects(schema, defs)
    return []


def _within(schema: Schema, usual: Sequence[float], margin: float) -> list[Any]:
    """The `usual` numbers inside the bounds, or one just inside."""
    low = schema.get("minimum", schema.get("exclusiveMinimum"))
    high = schema.get("maximum", schema.get("exclusiveMaximum"))

    def fits(number: float) -> bool:
        above = low is None or (number >= low if "minimum" in schema else number > low)
        return above and (high is None or (number <= high if "maximum" in schema else number < high))

    candidates = [*usual]
    if low is not None:
        candidates += [low, low + margin, low + (margin if high is None else (high - low) / 2)]
    elif high is not None:
        candidates += [high, high - margin]
    found = [number for number in candidates if fits(number)]
    return [number for number in found if number in usual] or found[:1]


def _arrays(schema: Schema, defs: Mapping[str, Schema]) -> list[Any]:
    if "prefixItems" in schema:
        columns = [_examples(item, defs) for item in schema["prefixItems"]]
        if not all(columns):
            return []
        return [[c[min(place, len(c) - 1)] for c in columns] for place in range(max(map(len, columns)))]
    items = _examples(schema.get("items", {}), defs)
    least = schema.get("minItems", 0)
    return [some for some in (items[:1], items[:2], items) if some and len(some) >= least]


def _objects(schema: Schema, defs: Mapping[str, Schema]) -> list[Any]:
    if "properties" in schema:
        fields = {name: _examples(field, defs) for name, field in schema["properties"].items()}
        kept = {name: examples[0] for name, examples in fields.items() if examples}
        return [kept] if set(schema.get("required", ())) <= set(kept) else []
    extra = schema.get("additionalProperties")
    values = _examples(extra, defs) if isinstance(extra, Mapping) else []
    return [{str(INTEGERS[0]): value} for value in values]
