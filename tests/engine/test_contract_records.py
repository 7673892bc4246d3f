"""Parameters and records."""

from __future__ import annotations

from dataclasses import field

import pytest
from engine_support import (
    VOCAB,
    Told,
)

from decodery import Decoder, Pipeline
from decodery.contracts.errors import (
    InvalidParams,
    PluginError,
)
from decodery.contracts.params import non_default_values, params
from decodery.contracts.specs import StepSpec, resolve
from decodery.testing import UniformModel


def test_all_mistakes_of_a_step_come_at_once() -> None:
    with pytest.raises(InvalidParams) as caught:
        Pipeline().add("repetition_penalty", penalty=-1, windw=3)
    assert {problem.path for problem in caught.value.problems} == {"penalty", "windw"}


def test_a_step_without_parameters_takes_none() -> None:
    with pytest.raises(InvalidParams, match="takes no parameter 'patience'"):
        Pipeline().stop("eos", patience=3)


def test_a_factory_that_is_no_factory_is_named() -> None:
    with pytest.raises(PluginError, match="not something to call"):
        resolve("decodery.host.loader:GROUP", "step 'x'")


def test_a_declaration_of_unknown_facts_or_traits_is_refused() -> None:
    for wrong in ({"needs": frozenset({"mood"})}, {"traits": frozenset({"mood"})}):
        with pytest.raises(PluginError, match="mood"):
            StepSpec("x", "processor", Told, **wrong)  # type: ignore[arg-type]


def test_a_default_made_by_a_factory_is_a_default() -> None:
    # Defined by a call: this module has postponed annotations, which params classes refuse.
    Made = params(
        type("Made", (), {"__annotations__": {"ids": tuple[int, ...]}, "ids": field(default_factory=tuple)})
    )
    assert non_default_values(Made()) == {}
    assert non_default_values(Made(ids=(3,))) == {"ids": (3,)}


def test_the_callers_seed_and_length_take_the_place_of_the_recipes() -> None:
    pipe = Pipeline().with_strategy("sample", seed=3).stop("max_new_tokens", 2)
    decoder = Decoder(UniformModel(VOCAB), pipe, vocab_size=VOCAB)
    own, other = (
        decoder.generate([[1]], max_new_tokens=20),
        decoder.generate([[1]], seed=4, max_new_tokens=20),
    )
    assert (len(own.tokens[0]), own.seed, other.seed) == (20, 3, 4)
    assert own.tokens != other.tokens


def test_the_first_sample_of_each_of_many_prompts_is_the_prompt_alone() -> None:
    pipe = Pipeline().with_strategy("sample", seed=3)
    decoder = Decoder(UniformModel(VOCAB), pipe, vocab_size=VOCAB)
    many = decoder.generate([[1], [2], [3]], n=3, max_new_tokens=8)
    for row in many:
        if row.sample_index == 0:
            assert row.tokens == decoder.generate([row.prompt], max_new_tokens=8).tokens[0]
