"""The JSON Schema of one step or strategy: its names, and what may stand behind them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from pydantic import TypeAdapter
from pydantic.errors import PydanticInvalidForJsonSchema

from ...contracts.params import accepted_names
from ...contracts.specs import StepSpec, StrategySpec
from ...host.registry import Host
from ..check import MAX_SEED

Schema = dict[str, Any]
_SEED = {"type": ["integer", "null"], "minimum": 0, "maximum": MAX_SEED, "description": "repeats a run"}


def names(host: Host, qualified: str, spec: StepSpec | StrategySpec) -> list[str]:
    """Every name that a recipe may write for it; bare ones only where they mean this record."""
    prefix = qualified.rpartition("/")[0] or "decodery"
    bare = (spec.name, *spec.aliases)
    find: Callable[[str], tuple[str, object]] = host.step if isinstance(spec, StepSpec) else host.strategy
    return [name for name in bare if _is(find, name, qualified)] + [f"{prefix}/{name}" for name in bare]


def _is(find: Callable[[str], tuple[str, object]], name: str, qualified: str) -> bool:
    try:
        return find(name)[0] == qualified
    except LookupError:
        return False


def use(spec: StepSpec | StrategySpec, key: str, definitions: Schema) -> Schema:
    """What may stand behind the step's name: its parameters, the first one's value alone, or nothing."""
    params, first = _params(spec, key, definitions)
    kinds = [params]
    if first is not None:
        # A mapping is always read as the parameters.
        kinds.append({"not": {"type": "object"}, "allOf": [first]})
    if not needs_parameters(spec):
        kinds.append({"type": "null"})
    said = {"title": spec.name, "description": spec.summary or spec.name}
    return {**said, "anyOf": kinds} if len(kinds) > 1 else {**said, **params}


def _params(spec: StepSpec | StrategySpec, key: str, definitions: Schema) -> tuple[Schema, Schema | None]:
    """(the schema of the parameters by name, that of the first parameter's value)."""
    made: Schema = {"type": "object", "properties": {}, "additionalProperties": False}
    if spec.params is not None:
        try:
            made = TypeAdapter(spec.params).json_schema(ref_template=f"#/$defs/{key}:{{model}}")
        except PydanticInvalidForJsonSchema:
            made = {"type": "object"}  # a callable, say: what it may be is beyond a schema
        for name, inner in made.pop("$defs", {}).items():
            definitions[f"{key}:{name}"] = inner
    made.pop("title", None)
    made.pop("description", None)
    properties = made.get("properties", {})
    fields = list(dataclasses.fields(spec.params)) if spec.params is not None else []
    first = properties.get(fields[0].name) if fields else None
    if properties:
        _with_aliases(made, accepted_names(spec.params))
    if isinstance(spec, StrategySpec) and "properties" in made:
        made["properties"] = {**made["properties"], "seed": _SEED}
    return made, first


def _with_aliases(made: Schema, accepted: dict[str, str]) -> None:
    """A parameter may be called by any of its names, and by one of them only."""
    required = set(made.pop("required", []))
    rules: list[Schema] = []
    for field in list(made["properties"]):
        names = [name for name, meant in accepted.items() if meant == field]
        for name in names:
            made["properties"].setdefault(name, made["properties"][field])
        if field in required:
            rules.append({"oneOf": [{"required": [name]} for name in names]})
        else:
            pairs = [[a, b] for i, a in enumerate(names) for b in names[i + 1 :]]
            rules += [{"not": {"required": pair}} for pair in pairs]
    if rules:
        made["allOf"] = rules


def needs_parameters(spec: StepSpec | StrategySpec) -> bool:
    """One parameter at least has no default, so that the name alone will not do."""
    return spec.params is not None and any(
        field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        for field in dataclasses.fields(spec.params)
    )
