"""Warnings: told where they stand, and true. What is called dead changes nothing, what is called order does."""

from __future__ import annotations

import pytest
import torch

from decodery.engine.pipeline import Pipeline
from decodery.host.loader import PluginInfo
from decodery.host.registry import Host
from decodery.recipe.advice import advise
from decodery.recipe.compose.sources import Found
from decodery.recipe.recipe import Recipe, examine
from decodery.recipe.report import Problem

HOST = Host("acme", plugins=[PluginInfo("acme", "1.0", "acme_for_recipes")])
ROWS = 200


def warnings(
    processors: str, strategy: str = "sample", stop: str = "max_new_tokens: 9", *rest: str
) -> list[Problem]:
    text = f"recipe: 1\nstrategy: {strategy}\nprocessors: [{processors}]\nstop: [{stop}]"
    examined = examine(Found("r.yaml", text), rest, HOST)
    assert examined.recipe is not None, examined.problems
    found = advise(examined)
    assert all(warning.severity == "warning" and warning.remedy for warning in found)
    return found


def told(processors: str, strategy: str = "sample", stop: str = "max_new_tokens: 9") -> list[tuple[str, str]]:
    return [(warning.code, warning.path) for warning in warnings(processors, strategy, stop)]


def pipeline(processors: str) -> Pipeline:
    return Recipe.loads(f"recipe: 1\nprocessors: [{processors}]", host=HOST).pipeline()


def scores(pipe: Pipeline) -> torch.Tensor:
    """(ROWS, 30) scores of random rows with a random history."""
    torch.manual_seed(0)
    logits, ids = torch.randn(ROWS, 30) * 2, torch.randint(0, 30, (ROWS, 12))
    bound = pipe.bind(ids, vocab_size=30, eos_token_id=2)
    return bound(ids, logits)


# -- dead steps ---------------------------------------------------------------------------------------------------

DEAD = [
    ("top_k: 5, top_k: 5", 1),
    ("top_k: 5, temperature: 2, top_k: 9", 2),
    ("top_k: {k: 3, min_keep: 6}, top_k: 4, top_k: 6", 2),
    ("min_p: 0.2, top_k: 9, min_p: 0.1", 2),
    ("epsilon_cutoff: 0.02, epsilon_cutoff: 0.02", 1),
    ("no_repeat_ngram: 2, no_repeat_ngram: 1", 0),
    ("no_repeat_ngram: 1, top_k: 25, no_repeat_ngram: 2", 2),
    ("min_new_tokens: 3, min_new_tokens: 2", 1),
    ("top_k: 1, temperature: 3", 1),
    ("top_k: 1, min_p: 0.5", 1),
]


@pytest.mark.parametrize(("processors", "place"), DEAD, ids=[case[0] for case in DEAD])
def test_a_dead_step_is_told_and_changes_nothing(processors: str, place: int) -> None:
    assert ("dead-step", f"processors[{place}]") in told(processors)
    whole = pipeline(processors)
    without = Pipeline(processors=whole.processors[:place] + whole.processors[place + 1 :])
    with_it, without_it = scores(whole), scores(without)
    assert torch.equal(with_it.isfinite(), without_it.isfinite())
    assert torch.allclose(with_it.softmax(-1), without_it.softmax(-1))


ALIVE = [
    "top_k: 9, top_k: 5",
    "top_k: 5, top_k: {k: 9, ties: cut}",
    "top_k: {k: 4, min_keep: 8}, top_k: 6",
    "min_p: 0.2, temperature: 3, min_p: 0.1",
    "min_p: {p: 0.2, min_keep: 4}, min_p: 0.1",
    "top_p: 0.5, top_p: 0.9",
    "eta_cutoff: 0.1, eta_cutoff: 0.05",
    "no_repeat_ngram: 2",
    "top_k: 0, top_k: 5",
    "top_k: {k: 1, min_keep: 2}, temperature: 2",
    "acme/narrow: 3, acme/narrow: 4",
]


@pytest.mark.parametrize("processors", ALIVE)
def test_a_step_that_may_do_something_is_not_called_dead(processors: str) -> None:
    assert "dead-step" not in [code for code, _ in told(processors)]


@pytest.mark.parametrize(
    "step", ["temperature: 0.5", "top_k: 4", "top_p: 0.9", "min_p: 0.1", "epsilon_cutoff: 0.01"]
)
def test_under_greedy_what_keeps_the_best_token_is_dead(step: str) -> None:
    assert told(step, "greedy") == [("dead-step", "processors[0]")]
    assert told(step) == []
    assert torch.equal(scores(pipeline(step)).argmax(-1), scores(Pipeline()).argmax(-1))


def test_under_greedy_the_rest_is_not_dead() -> None:
    living = "repetition_penalty: 1.2, no_repeat_ngram: 3, typical_p: 0.5, acme/narrow: 3"
    assert "dead-step" not in [code for code, _ in told(living, "greedy")]


def test_a_seed_without_a_draw_is_told() -> None:
    (found,) = warnings("", "{greedy: {seed: 3}}")
    assert (found.code, found.line, found.column, found.length) == ("dead-step", 2, 21, 4)
    assert told("", "{sample: {seed: 3}}") == []
    assert told("", "{acme/wide: {w: 3, seed: 3}}") == []


def test_a_looser_stop_rule_is_told() -> None:
    assert told("", stop="max_new_tokens: 64, eos, max_new_tokens: 32") == [("dead-step", "stop[0]")]
    assert told("", stop="max_time: 3, max_new_tokens: 32, max_time: 3") == [("dead-step", "stop[2]")]
    assert told("", stop="max_new_tokens: 64, max_length: 32") == []


# -- order --------------------------------------------------------------------------------------------------------

SURPRISES = [
    ("top_p: 0.6, temperature: 3", "llama.cpp does it like this; Hugging Face"),
    ("top_k: 9, top_p: 0.6, temperature: 3", "above top_k"),
    ("min_p: 0.2, temperature: 3", "llama.cpp"),
    ("top_p: 0.7, top_k: 3", "Hugging Face and llama.cpp run top_k first"),
    ("min_p: 0.3, top_p: 0.6", "run top_p first"),
    ("top_k: 4, repetition_penalty: 5", "before they cut"),
    ("top_k: 4, sequence_bias: [[[7], 9]]", "before they cut"),
    ("temperature: 3, sequence_bias: [[[7], 9]]", "apply it before"),
]


@pytest.mark.parametrize(("processors", "remedy"), SURPRISES, ids=[case[0] for case in SURPRISES])
def test_an_order_that_surprises_says_what_others_do(processors: str, remedy: str) -> None:
    found = warnings(processors)
    assert [warning.code for warning in found] == ["surprising-order"]
    assert remedy in found[0].remedy
    last = len(pipeline(processors).processors) - 1
    assert found[0].path == f"processors[{last}]"
    # And it matters: with the last step first, other scores come out.
    steps = pipeline(processors).processors
    turned = Pipeline(processors=(steps[-1], *steps[:-1]))
    assert not torch.allclose(scores(pipeline(processors)).softmax(-1), scores(turned).softmax(-1))


USUAL = [
    # Hugging Face's order, and llama.cpp's with its temperature in Hugging Face's place
    "sequence_bias: [[[7], 2]], repetition_penalty: 1.1, no_repeat_ngram: 3, temperature: 0.7, top_k: 40, "
    "top_p: 0.9, min_p: 0.05, typical_p: 0.9, epsilon_cutoff: 0.001, eta_cutoff: 0.001",
    "temperature: 0.7, top_k: 40, typical_p: 0.9, top_p: 0.9, min_p: 0.05",
    "temperature: 0.7, repetition_penalty: 1.2",  # they commute
    "min_p: 0.05, top_k: 40",  # and so do these
    "top_p: 1.0, temperature: 0.7",  # cuts nothing
    "top_p: 0.9, temperature: 1.0",  # divides by one
    "acme/narrow: 3, top_k: 4, acme/narrow: 3",  # a stranger that says nothing of itself
]


@pytest.mark.parametrize("processors", USUAL)
def test_a_usual_order_is_not_remarked_upon(processors: str) -> None:
    assert told(processors) == []


def test_a_strangers_step_is_judged_by_its_traits() -> None:
    (found,) = warnings("top_k: 4, acme/reader")
    assert (found.code, found.path) == ("surprising-order", "processors[1]")
    assert told("acme/reader, top_k: 4") == []


# -- the other two ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ban", ["no_repeat_ngram: 1", "min_new_tokens: 3", "bad_words: [[7]]"])
def test_a_ban_behind_a_cut_can_ban_everything(ban: str) -> None:
    (found,) = warnings(f"top_k: 1, {ban}")
    assert (found.code, found.path) == ("bans-everything", "processors[1]")
    assert (scores(pipeline(f"top_k: 1, {ban}")).isfinite().sum(-1) == 0).any()
    assert told(f"{ban}, top_k: 1") == []


def test_a_list_without_a_length_limit_is_told() -> None:
    (found,) = warnings("", stop="eos, stop_strings: x")
    assert (found.code, found.line, found.column, found.path) == ("no-length-limit", 4, 1, "stop")
    assert "eos, stop_strings" in found.message
    for limit in ("max_new_tokens: 9", "max_length: 9", "MaxLengthCriteria: 9"):
        assert told("", stop=f"eos, {limit}") == []


def test_warnings_of_a_base_say_who_extends_it(tmp_path) -> None:
    (tmp_path / "base.yaml").write_text("recipe: 1\nstop: [eos]")
    found = examine(Found("r", "recipe: 1\nextends: ./base.yaml", None), (), HOST)
    assert advise(found) == []
    child = tmp_path / "child.yaml"
    child.write_text("recipe: 1\nextends: ./base.yaml")
    from decodery.recipe.compose.sources import fetch

    (warning,) = advise(examine(fetch(child, HOST), (), HOST))
    assert (warning.source, len(warning.notes)) == (str(tmp_path / "base.yaml"), 1)


def test_what_is_changed_on_the_command_line_is_told_there() -> None:
    (found,) = warnings("top_k: 4, temperature: 1", "sample", "max_new_tokens: 9", "temperature=2")
    assert found.code == "surprising-order"


def test_every_recipe_in_the_box_is_free_of_warnings() -> None:
    from decodery.contracts.specs import RecipeSource
    from decodery.recipe.compose.sources import fetch

    host = Host("")
    for name, _ in host.all(RecipeSource):
        assert advise(examine(fetch(name, host), (), host)) == [], name
