"""A step or strategy as text: YAML, JSON and code that read back as what was written."""

from __future__ import annotations

import dataclasses
import json

from pydantic import TypeAdapter

from ...contracts.params import non_default_values
from ...contracts.specs import StepSpec, StrategySpec
from ...contracts.steps import fill
from ...engine.pipeline import Pipeline
from ...recipe.recipe import Recipe
from ..case import Case
from ..hosts import isolated_host
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
    """Editors complete and check recipes by it: every field has a type there, and required ones are marked."""
    params: type = type(case.params)
    schema = TypeAdapter(params).json_schema(by_alias=False)
    json.dumps(schema)
    fields, closed = schema.get("properties", {}), schema.get("additionalProperties", True) is False
    require(closed, "takes unknown parameters by its JSON Schema: its params class was not made by @params")
    for name in (field.name for field in dataclasses.fields(params)):
        typed = {"type", "anyOf", "oneOf", "enum", "const", "$ref", "allOf"} & set(fields.get(name, {}))
        require(bool(typed), f"has a JSON Schema that says nothing of {name!r}: {fields.get(name)}")


CHECKS = (params_round_trip, yaml_round_trip, repr_round_trip, has_a_json_schema)
