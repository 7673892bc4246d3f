"""`-o`: the last word on every value, checked like the file, located on the command line."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decodery.contracts.errors import InvalidInput
from decodery.contracts.params import param_values
from decodery.host.registry import Host
from decodery.recipe.recipe import Recipe, check_text
from decodery.recipe.report import render

TEXT = """\
recipe: 1
strategy: {sample: {seed: 42}}
processors:
  - temperature: 0.7
  - top_p: {top_p: 0.95, min_keep: 2}
  - TopKLogitsWarper: 40
  - top_p: 0.5
stop:
  - eos
  - max_new_tokens: 256
"""


def changed(*overrides: str, text: str = TEXT) -> Recipe:
    return Recipe.loads(text, overrides=overrides)


def values(recipe: Recipe) -> list[tuple[str, dict[str, object]]]:
    return [(step.qualified, param_values(step.params)) for step in (*recipe.processors, *recipe.stop)]


def edited(old: str, new: str) -> Recipe:
    """What an editor would have made of the file: the oracle."""
    assert old in TEXT
    return Recipe.loads(TEXT.replace(old, new))


# fmt: off
SAME_AS_EDITING = [
    ("temperature=1.2", "temperature: 0.7", "temperature: 1.2"),
    ("temperature = 1.2", "temperature: 0.7", "temperature: 1.2"),
    ("temperature.temperature=1.2", "temperature: 0.7", "temperature: 1.2"),
    ("top_p#1=0.8", "top_p: 0.95", "top_p: 0.8"),  # min_keep stays
    ("top_p#1.p=0.8", "top_p: 0.95", "top_p: 0.8"),
    ("top_p#1.top_p=0.8", "top_p: 0.95", "top_p: 0.8"),
    ("top_p#1.min_keep=5", "min_keep: 2", "min_keep: 5"),
    ("top_p#1.min_tokens_to_keep=5", "min_keep: 2", "min_keep: 5"),
    ("top_p#1={p: 0.8}", "top_p: 0.95", "top_p: 0.8"),
    ("top_p#1={p: 0.8, min_keep: 7}", "{top_p: 0.95, min_keep: 2}", "{p: 0.8, min_keep: 7}"),
    ("top_p#2=0.9", "top_p: 0.5", "top_p: 0.9"),
    ("top_p#2.min_keep=5", "top_p: 0.5", "top_p: {p: 0.5, min_keep: 5}"),
    ("top_k=4", "TopKLogitsWarper: 40", "top_k: 4"),
    ("TopKLogitsWarper.ties=cut", "TopKLogitsWarper: 40", "top_k: {k: 40, ties: cut}"),
    ("decodery/top_k=4", "TopKLogitsWarper: 40", "top_k: 4"),
    ("max_new_tokens=64", "max_new_tokens: 256", "max_new_tokens: 64"),
    ("strategy.seed=3", "seed: 42", "seed: 3"),
    ("strategy.seed=null", "seed: 42", "seed: null"),
    ("strategy=greedy", "{sample: {seed: 42}}", "greedy"),
    ("strategy={sample: {seed: 4}}", "{sample: {seed: 42}}", "{sample: {seed: 4}}"),
    ("compat=hf", "recipe: 1\n", "recipe: 1\ncompat: hf\n"),
    ("include_stop=true", "recipe: 1\n", "recipe: 1\ninclude_stop: true\n"),
    ("on_bad_row=stop_row", "recipe: 1\n", "recipe: 1\non_bad_row: stop_row\n"),
    ("name=no", "recipe: 1\n", "recipe: 1\nname: 'no'\n"),
    ("name=\"a=b # c\"", "recipe: 1\n", "recipe: 1\nname: 'a=b # c'\n"),
    ("stop=[eos, stop_strings: [\"\\n\"]]", "  - max_new_tokens: 256", "  - stop_strings: [\"\\n\"]"),
]
# fmt: on


@pytest.mark.parametrize(
    ("override", "old", "new"), SAME_AS_EDITING, ids=[case[0] for case in SAME_AS_EDITING]
)
def test_an_override_equals_editing_the_file(override: str, old: str, new: str) -> None:
    assert changed(override) == edited(old, new)


def test_the_defaults_can_be_overridden_too() -> None:
    recipe = changed("max_new_tokens=64", "strategy.seed=3", text="recipe: 1")
    assert values(recipe) == [("eos", {}), ("max_new_tokens", {"max_new_tokens": 64})]
    assert (recipe.strategy.qualified, recipe.strategy.seed) == ("greedy", 3)


def test_overrides_follow_one_another() -> None:
    recipe = changed(
        "strategy=sample", "strategy.seed=1", "strategy.seed=2", "temperature=1", "temperature=1.5"
    )
    assert recipe.strategy.seed == 2
    assert values(recipe)[0] == ("temperature", {"temperature": 1.5})


# fmt: off
MISTAKES = {
    "a wrong value": ("temperature=-1", 13, 2, "temperature = -1", "greater than 0"),
    "a wrong value after spaces": ("temperature =  -1", 16, 2, "temperature = -1", ""),
    "a wrong value in braces": ("top_k={ties: dropp}", 14, 5, "ties = 'dropp'", "keep"),
    "an unknown parameter": ("top_k.tie=cut", 7, 3, "no parameter 'tie'", "did you mean 'ties'?"),
    "an unknown step": ("top_q=1", 1, 5, "no step or key 'top_q'", "did you mean 'top_p'?"),
    "a step that is not there": (
        "min_p=0.1", 1, 5,
        "the recipe has no step 'min_p'", "add it to the recipe, which has: temp",
    ),
    "a misspelt key": ("strateg=greedy", 1, 7, "no step or key 'strateg'", "did you mean 'strategy'?"),
    "a seed of its own": ("seed=3", 1, 4, "no step or key 'seed'", "strategy.seed=42"),
    "which one": ("top_p=0.8", 1, 5, "2 steps 'top_p': processors[1] and processors[3]", "top_p#1"),
    "the third of two": ("top_p#3=0.8", 1, 7, "has 2 of 'top_p', so there is no #3", "count from top_p#1"),
    "the zeroth": ("top_p#0=0.8", 1, 7, "there is no #0", "count from"),
    "no value": ("temperature=", 13, 1, "there is no value", "null"),
    "no value but a comment": ("name=#1", 6, 1, "there is no value", "quotes"),
    "no '='": ("temperature", 1, 11, "'temperature' is no override", "NAME=VALUE"),
    "no name": ("=3", 1, 1, "is no override", "NAME=VALUE"),
    "a path too deep": ("top_k.a.b=3", 1, 9, "is no override", "NAME.PARAMETER"),
    "a key with a parameter": ("compat.x=hf", 1, 6, "'compat' is one value", "compat=VALUE"),
    "a key with a number": ("name#2=x", 1, 4, "'name' is one value", "name=VALUE"),
    "a block mapping": ("top_k=k: 4", 7, 4, "brackets", "{a: 1"),
    "a block list": ("stop=- eos", 6, 5, "brackets", "[a, b]"),
    "an open bracket": ("stop=[eos", 10, 1, "not YAML", "close the bracket"),
    "an anchor": ("temperature=&x 1", 13, 2, "anchors", ""),
    "an alias": ("temperature=*x", 13, 2, "aliases", ""),
    "a tag": ("temperature=!!float 1", 13, 7, "tags", ""),
    "two lines": ("temperature=1\nstop: []", 14, 1, "U+2028", ""),
    "an escape sequence": ("temperature=\x1b[31m", 13, 1, "U+001B", ""),
    "a strategy that is none": ("strategy=greddy", 10, 6, "unknown strategy 'greddy'", "greedy"),
    "a seed that is none": ("strategy.seed=yes", 15, 3, "a seed is", ""),
    "a wrong choice": ("compat=gpt", 8, 3, "compat is hf, not gpt", ""),
}
# fmt: on


@pytest.mark.parametrize("case", MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_located_on_the_command_line(case: tuple[str, int, int, str, str]) -> None:
    override, column, length, message, remedy = case
    recipe, problems = check_text(TEXT, "r.yaml", ["name=ok", override])
    assert recipe is None
    assert len(problems) == 1, problems
    found = problems[0]
    assert (found.source, found.line, found.column, found.length) == ("<command line>", 2, column, length)
    assert message in found.message
    assert remedy in found.remedy


def test_the_report_shows_the_override() -> None:
    report = render(check_text(TEXT, "r.yaml", ["top_p#1=1.5"])[1])
    assert (
        report
        == """\
error: top_p: p = 1.5: input should be less than or equal to 1
 --> <command line>:1:9  (processors[1].top_p.p)
1 | top_p#1=1.5
  |         ^^^
  = help: it is at least 0 and at most 1
1 problem found; nothing was run."""
    )


def test_mistakes_of_file_and_command_line_come_together_the_files_first() -> None:
    found = check_text(TEXT.replace("eos", "eoss"), "r.yaml", ["top_p=1", "temperature=x"])[1]
    assert [(p.source, p.line) for p in found] == [
        ("r.yaml", 9),
        ("<command line>", 1),
        ("<command line>", 2),
    ]


def test_an_override_mends_the_value_it_replaces() -> None:
    assert changed("temperature=0.5", text=TEXT.replace("0.7", "-7")) == edited("0.7", "0.5")


def test_one_override_that_is_no_list_is_told_so() -> None:
    with pytest.raises(InvalidInput, match="list"):
        Recipe.loads(TEXT, overrides="temperature=1")
    with pytest.raises(InvalidInput, match="list"):
        Recipe.loads(TEXT, overrides=[("temperature", 1)])  # type: ignore[list-item]


@given(st.lists(st.text(max_size=20) | st.text("top_p.#=strategyseed01{}[]:, ", max_size=20), max_size=3))
@settings(max_examples=150, deadline=None)
def test_any_override_gives_a_recipe_or_problems(overrides: list[str]) -> None:
    recipe, problems = check_text(TEXT, "r.yaml", overrides, Host(""))
    assert (recipe is None) == bool(problems)
    assert all(problem.source == "<command line>" for problem in problems)
