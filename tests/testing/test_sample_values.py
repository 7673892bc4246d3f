"""Sample parameters derived from the types of a params class: valid, and more than the defaults."""

from collections.abc import Callable
from typing import Annotated, Literal

import pytest
from honest_steps import Idle, processor
from pydantic import Field, model_validator

from decodery.contracts.params import (
    OpenProbability,
    PositiveInt,
    Probability,
    TokenIds,
    TokenSequences,
    alias,
    params,
)
from decodery.contracts.specs import StepSpec
from decodery.contracts.steps import fill
from decodery.host.registry import Host
from decodery.testing import checks_for
from decodery.testing.values import sample_values


@params
class Plain:
    p: Annotated[Probability, alias("top_p")]
    min_keep: PositiveInt = 1
    mode: Literal["soft", "hard"] = "soft"
    quick: bool = False
    window: PositiveInt | None = None


@params
class Narrow:
    above: Annotated[int, Field(gt=100)]
    between: Annotated[float, Field(gt=0.9, lt=0.91)]
    below: Annotated[float, Field(lt=-3)]
    even: OpenProbability = 0.5


@params
class Nested:
    ids: TokenIds
    words: TokenSequences
    weights: dict[str, float]
    pair: tuple[int, Probability]
    text: Annotated[str, Field(min_length=2)]


@params
class Ordered:
    low: Probability = 0.05
    high: Probability = 0.7

    @model_validator(mode="after")
    def _in_order(self) -> "Ordered":
        if self.low >= self.high:
            raise ValueError("low must be below high")
        return self


@params
class Unguessable:
    function: Callable[[int], int]


@params
class Patterned:
    code: Annotated[str, Field(pattern="^x[0-9]+$")]


def test_every_field_takes_another_value_than_its_default() -> None:
    found = sample_values(processor(Idle, params=Plain), None)
    assert found[0] == {"p": 0.7}
    for name, default in (("min_keep", 1), ("mode", "soft"), ("quick", False), ("window", None)):
        assert any(values.get(name, default) != default for values in found), name
    assert len({values["p"] for values in found}) > 1
    assert not any(values.get("mode") == "soft" or values.get("quick") is False for values in found)


@pytest.mark.parametrize("kind", [Plain, Narrow, Nested, Ordered])
def test_they_are_valid(kind: type) -> None:
    spec = processor(Idle, params=kind)
    found = sample_values(spec, None)
    assert found
    for values in found:
        fill(spec, dict(values))


def test_what_constraints_forbid_is_left_out() -> None:
    found = sample_values(processor(Idle, params=Ordered), None)
    assert {} in found
    assert {"high": 0.05} not in found


@pytest.mark.parametrize("kind", [Unguessable, Patterned])
def test_what_cannot_be_guessed_is_asked_of_the_author(kind: type) -> None:
    spec = processor(Idle, params=kind)
    names = {check.name for check in checks_for(spec)}
    assert names == {"builds", "points_at_code"}
    (builds,) = [check for check in checks_for(spec) if check.name == "builds"]
    with pytest.raises(AssertionError, match=r"is missing[\s\S]*samples="):
        builds(spec)


def test_every_built_in_step_is_tried_with_what_it_needs() -> None:
    for spec in Host("").builtin(StepSpec):
        found = sample_values(spec, None)
        # A function is the one thing that no schema describes.
        assert found != ({},) or spec.params is None or spec.name == "prefix_allowed_tokens", spec.name
