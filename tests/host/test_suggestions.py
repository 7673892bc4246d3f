"""An unknown name gets the nearest known one: a slip, the field's other word, a name of the other list."""

from __future__ import annotations

import pytest

from decodery.contracts.errors import UnknownName
from decodery.contracts.specs import StepSpec, StrategySpec
from decodery.host.registry import Host
from decodery.host.suggestions import meant

HOST = Host("")


@pytest.mark.parametrize(
    ("word", "strategy"),
    {
        "cfg": "mix",
        "CFG": "mix",
        "classifier-free-guidance": "mix",
        "guidance_scale": "mix",
        "contrastive_decoding": "mix",
        "DExperts": "mix",
        "speculative_decoding": "assisted",
        "self_consistency": "majority",
        "penalty_alpha": "contrastive",
        "multinomial": "sample",
    }.items(),
)
def test_another_word_of_the_field_names_the_strategy_that_does_it(word: str, strategy: str) -> None:
    with pytest.raises(UnknownName, match=f"'{strategy}' does that .*plugins show {strategy}"):
        HOST.strategy(word)


@pytest.mark.parametrize(
    ("word", "step"), [("nucleus", "top_p"), ("stop_words", "stop_strings"), ("max_tokens", "max_new_tokens")]
)
def test_another_word_of_the_field_names_the_step_that_does_it(word: str, step: str) -> None:
    with pytest.raises(UnknownName, match=f"'{step}' does that"):
        HOST.step(word)


def test_a_slip_or_another_spelling_gets_the_name_that_a_recipe_writes() -> None:
    for name, wanted in (("Top-P", "top_p"), ("tempersture", "temperature"), ("TopKLogitWarper", "top_k")):
        with pytest.raises(UnknownName, match=f"did you mean '{wanted}'"):
            HOST.step(name)
    for name, wanted in (("DoLa", "dola"), ("beem", "beam"), ("greedy_serach", "greedy")):
        with pytest.raises(UnknownName, match=f"did you mean '{wanted}'"):
            HOST.strategy(name)


@pytest.mark.parametrize(
    ("find", "name", "told"),
    [
        ("step", "dola", "'dola' is a strategy: 'strategy: dola' in a recipe, with_strategy"),
        ("step", "cfg", "'mix' is a strategy"),
        ("strategy", "top_k", "'top_k' is a processor: below 'processors:'"),
        ("strategy", "max_new_tokens", "'max_new_tokens' is a stop rule: below 'stop:'"),
    ],
)
def test_a_name_of_the_other_list_is_told_where_it_belongs(find: str, name: str, told: str) -> None:
    with pytest.raises(UnknownName, match=told):
        getattr(HOST, find)(name)


def test_what_is_like_nothing_gets_no_guess_and_the_names_that_there_are() -> None:
    assert meant("qqqqq", [(spec.name, spec) for spec in HOST.builtin(StepSpec)]) == ""
    with pytest.raises(UnknownName, match="known: greedy, sample, beam"):
        HOST.strategy("qqqqq")


def test_no_word_of_the_field_is_a_name_that_a_recipe_takes() -> None:
    """A keyword is only for who is wrong: one that resolves would never be told."""
    for kind in (StepSpec, StrategySpec):
        names = {name for spec in HOST.builtin(kind) for name in (spec.name, *spec.aliases)}
        assert not names & {word for spec in HOST.builtin(kind) for word in spec.keywords}


@pytest.mark.parametrize(
    ("mode", "name"), [("greedy_search", "greedy"), ("beam_search", "beam"), ("dola_generation", "dola")]
)
def test_transformers_names_of_its_modes_are_names_of_the_strategies(mode: str, name: str) -> None:
    from transformers.generation.configuration_utils import GenerationMode

    assert mode in {each.value for each in GenerationMode}
    assert HOST.strategy(mode)[0] == name
