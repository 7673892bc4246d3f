"""The JSON Schema (draft 2020-12) of a recipe file, with every step that is installed: for editors and other tools.

It says what a schema can: names, types, bounds, defaults, what goes with what. `recipe check` stays the judge.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...contracts.specs import RecipeSource, StepSpec, StrategySpec
from ...host.registry import Host
from ..keys import VERSION
from .step_schema import Schema, names, needs_parameters, use

_TEXT_OR_NOTHING = {"type": ["string", "null"]}


def schema(host: Host) -> Schema:
    """The schema; imports every enabled plugin."""
    definitions: Schema = {}
    _add(definitions, host, "processor", [pair for pair in host.all(StepSpec) if pair[1].role == "processor"])
    _add(definitions, host, "stop", [pair for pair in host.all(StepSpec) if pair[1].role == "stop"])
    _add(definitions, host, "strategy", host.all(StrategySpec))
    recipes = sorted(qualified for qualified, _ in host.all(RecipeSource))
    definitions["target"] = {"type": "string", "description": "NAME, or NAME#2 for the second of that name"}
    definitions["change"] = _change()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "decodery recipe",
        "description": "How tokens are chosen: a strategy, processors in order, and stop rules",
        "type": "object",
        "properties": _top(recipes),
        "required": ["recipe"],
        "additionalProperties": False,
        "$defs": definitions,
    }


def _add(
    definitions: Schema, host: Host, role: str, records: Sequence[tuple[str, StepSpec | StrategySpec]]
) -> None:
    """What may be written where a step of `role` is expected, and a definition for each."""
    uses: dict[str, Schema] = {}
    alone = []
    for qualified, spec in records:
        key = f"{role}:{qualified.replace('/', ':')}"
        definitions[key] = use(spec, key, definitions)
        for name in names(host, qualified, spec):
            uses.setdefault(name, {"$ref": f"#/$defs/{key}"})
            if not needs_parameters(spec):
                alone.append(name)
    definitions[role] = _one_of(uses, alone)


def _top(recipes: list[str]) -> Schema:
    return {
        "recipe": {"const": VERSION, "description": "the version of this language"},
        "name": {**_TEXT_OR_NOTHING, "description": "changes nothing"},
        "description": {**_TEXT_OR_NOTHING, "description": "changes nothing"},
        "extends": {
            "type": "string",
            "minLength": 1,
            "description": "the recipe that this one changes: a path relative to this file, or a name",
            "examples": ["./chat.yaml", *recipes],
        },
        "requires": {
            "type": ["array", "null"],
            "items": {"type": "string", "pattern": r"^\s*[A-Za-z0-9][A-Za-z0-9._-]*\s*([<>=!~(].*)?$"},
            "description": 'packages and their versions, for example "acme-decode>=0.3,<1"',
        },
        "patch": {
            "type": ["array", "null"],
            "items": {"$ref": "#/$defs/change"},
            "description": "changes to the steps of the recipe that this one extends",
        },
        "strategy": {"$ref": "#/$defs/strategy", "description": "how tokens are chosen"},
        "processors": {
            "type": ["array", "null"],
            "items": {"$ref": "#/$defs/processor"},
            "description": "run in this order; a step may occur twice",
        },
        "stop": {
            "type": "array",
            "items": {"$ref": "#/$defs/stop"},
            "minItems": 1,
            "description": "what ends a row; without it eos and max_new_tokens: 256",
        },
        "compat": {"enum": ["hf", None], "description": "hf: the very tokens of transformers' generate"},
        "on_bad_row": {
            "enum": ["error", "stop_row"],
            "description": "what a row does that has no token left",
        },
        "include_stop": {"type": "boolean", "description": "keep the stop string in the text"},
    }


def _change() -> Schema:
    step = {"anyOf": [{"$ref": "#/$defs/processor"}, {"$ref": "#/$defs/stop"}]}
    target = {"$ref": "#/$defs/target"}
    several = {"type": "array", "items": target}
    pairs = (["after", "before"], ["after", "at"], ["before", "at"])
    return {
        "type": "object",
        "properties": {
            "set": {"type": "object", "minProperties": 1, "description": "NAME or NAME.PARAMETER: value"},
            "drop": {"anyOf": [target, several], "description": "takes steps out"},
            "replace": {
                "type": "object",
                "additionalProperties": step,
                "minProperties": 1,
                "description": "puts another step in the place of one",
            },
            "insert": {
                "anyOf": [step, {"type": "array", "items": step, "minItems": 1}],
                "description": "adds a step, at the end unless 'after', 'before' or 'at' says where",
            },
            "after": target,
            "before": target,
            "at": {"type": "integer", "minimum": 0},
        },
        "additionalProperties": False,
        "oneOf": [{"required": [key]} for key in ("set", "drop", "replace", "insert")],
        "dependentRequired": {key: ["insert"] for key in ("after", "before", "at")},
        "not": {"anyOf": [{"required": pair} for pair in pairs]},
    }


def _one_of(uses: dict[str, Schema], alone: list[str]) -> Schema:
    """`eos`, or `name: value` in a mapping of one entry."""
    return {
        "type": ["string", "object"],
        "if": {"type": "string"},
        "then": {"enum": sorted(alone)},
        "else": {
            "properties": dict(sorted(uses.items())),
            "additionalProperties": False,
            "minProperties": 1,
            "maxProperties": 1,
        },
    }
