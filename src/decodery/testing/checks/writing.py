"""A step or strategy as text: YAML, JSON and code that read back as what was written."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import yaml

from ...contracts.params import non_default_values
from ...contracts.specs import StepSpec, StrategySpec
from ...contracts.steps import fill
from ...engine.pipeline import Pipeline
from ...recipe.recipe import Recipe
from ...recipe.tools.schema import schema
from ..case import Case
from ..hosts import OWN, isolated_host
from .check import check, require

BACK = "let every field take its own value back: a validator must accept what it returned"


@check("params", remedy=BACK)
def params_round_trip(case: Case) -> None:
    """What a pipeline writes reads back as the same parameters."""
    if not isinstance(case.spec, StepSpec | StrategySpec):
        raise TypeError(f"{case.spec.name!r} takes no parameters")
    written = non_default_values(case.params)
    text = json.dumps(written)
    for values in (written, json.loads(text)):
        again = fill(case.spec, values)
        require(again == case.params, f"has parameters {case.params}, which read back as {again}")


@check("used", "written", remedy=BACK)
def yaml_round_trip(case: Case) -> None:
    """A recipe with it, written and read again, is the same recipe, and makes the same pipeline."""
    recipe = case.pipeline.to_recipe()
    text = recipe.to_yaml()
    again = Recipe.loads(text, host=case.pipeline.host)
    require(again == recipe, f"reads back from YAML as another recipe:\n{text}")
    require(Pipeline.from_recipe(again) == case.pipeline, f"makes another pipeline from its YAML:\n{text}")


@check(
    "used",
    "written",
    remedy="hold parameters whose repr is the code that makes them: numbers, strings, tuples",
)
def repr_round_trip(case: Case) -> None:
    """The repr of a pipeline with it is code that builds an equal one."""
    text = repr(case.pipeline)
    again = eval(text, {"Pipeline": lambda: Pipeline(host=isolated_host(case.spec)), "__builtins__": {}})
    require(again == case.pipeline, f"has a repr that makes another pipeline: {text}")


@check(
    "params",
    "written",
    remedy="annotate every field with a type that JSON has, and bounds that pydantic knows",
)
def has_a_json_schema(case: Case) -> None:
    """Editors complete and check recipes by the schema of `decodery recipe schema`: every field has a type there, no
    other is allowed, and a recipe with it is valid (which is tried where jsonschema is installed)."""
    spec = case.spec
    kind = spec.role if isinstance(spec, StepSpec) else "strategy"
    whole = schema(case.pipeline.host)
    json.dumps(whole)
    use = whole["$defs"][f"{kind}:{OWN}:{spec.name}"]
    fields = next(each for each in use.get("anyOf", [use]) if each.get("type") == "object")
    closed = fields.get("additionalProperties", True) is False
    require(closed, "takes unknown parameters by its JSON Schema: its params class was not made by @params")
    params: type = type(case.params)
    known = {**fields.get("properties", {})}
    for name in (field.name for field in dataclasses.fields(params)):
        typed = {"type", "anyOf", "oneOf", "enum", "const", "$ref", "allOf"} & set(known.get(name, {}))
        require(bool(typed), f"has a JSON Schema that says nothing of {name!r}: {known.get(name)}")
    _validate(case, whole, use)


def _validate(case: Case, whole: Any, own: Any) -> None:
    try:
        import jsonschema  # noqa: PLC0415 (decodery has no need of it; whoever has it gets the trial)
    except ImportError:
        return
    data = yaml.safe_load(case.pipeline.to_recipe().to_yaml())
    kind = jsonschema.Draft202012Validator
    kind.check_schema(own)  # of the whole it would take half a second, and the rest of it is not the author's
    try:
        kind(whole).validate(data)
    except jsonschema.ValidationError as error:
        require(False, f"is in a good recipe that its JSON Schema refuses: {error.message}")


CHECKS = (params_round_trip, yaml_round_trip, repr_round_trip, has_a_json_schema)
