"""Checking: each mistake at its line and column with a remedy, all of them in one go."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decodery.contracts.errors import UnknownName
from decodery.contracts.specs import StepSpec
from decodery.host.loader import PluginInfo
from decodery.host.registry import Host
from decodery.recipe.names import Names
from decodery.recipe.recipe import Recipe, check_text
from decodery.recipe.report import MAX_PROBLEMS, Problem


def problems_of(text: str, host: Host | None = None) -> list[Problem]:
    recipe, problems = check_text(text, "r.yaml", (), host)
    assert (recipe is None) == bool(problems)
    return problems


def only(text: str, host: Host | None = None) -> Problem:
    found = problems_of(text, host)
    assert len(found) == 1, found
    return found[0]


V = "recipe: 1\n"


def test_all_mistakes_come_in_one_go_and_in_order() -> None:
    found = problems_of("""\
recipe: 1
strategy: {sample: {seed: x}}
processors:
  - temprature: 0.7
  - top_p: {p: 2, min_keep: 0}
  - top_k: &k 40
  - eos
stop: [max_new_tokens: none]
nmae: a
nmae: b
""")
    assert [(p.code, p.line, p.column) for p in found] == [
        ("bad-value", 2, 27),
        ("unknown-step", 4, 5),
        ("bad-value", 5, 16),
        ("bad-value", 5, 29),
        ("anchor", 6, 12),
        ("wrong-list", 7, 5),
        ("bad-value", 8, 24),
        ("unknown-key", 9, 1),
        ("duplicate-key", 10, 1),
    ]
    assert found[3].path == "processors[1].top_p.min_keep"


def test_what_was_refused_is_not_complained_of_twice() -> None:
    assert [p.code for p in problems_of(V + "processors: [temperature: *x]")] == ["alias"]
    assert [p.code for p in problems_of(V + "processors: [top_\x07p: 0.9]")] == ["hidden-character"]
    assert [p.code for p in problems_of(V + "strategy: *x")] == ["alias"]


def test_a_wrong_name_is_asked_for_once_and_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def lookup(self: Host, name: str) -> tuple[str, StepSpec]:
        asked.append(name)
        raise UnknownName(f"unknown step {name!r}")

    monkeypatch.setattr(Host, "step", lookup)
    names = Names(Host(""))
    for name in [f"step_{i}" for i in range(1000)] * 2:
        with pytest.raises(UnknownName, match=name):
            names.step(name)
    assert len(asked) == len(set(asked)) == MAX_PROBLEMS


def test_checking_stops_after_enough_problems() -> None:
    many = V + "processors:\n" + "".join(f"  - nothing_{i}\n" for i in range(3 * MAX_PROBLEMS))
    assert len(problems_of(many)) == MAX_PROBLEMS


# -- what is accepted ---------------------------------------------------------------------------------------------


def names(recipe: Recipe) -> list[str]:
    return [step.qualified for step in recipe.processors]


def test_without_anything_it_is_greedy_and_ends() -> None:
    recipe = Recipe.loads("recipe: 1")
    assert recipe.strategy.qualified == "greedy"
    assert recipe.strategy.seed is None
    assert recipe.processors == ()
    assert [(s.qualified, vars(s.params) if s.params else {}) for s in recipe.stop] == [
        ("eos", {}),
        ("max_new_tokens", {"max_new_tokens": 256}),
    ]
    assert (recipe.name, recipe.compat, recipe.on_bad_row, recipe.include_stop) == ("", None, "error", False)


def test_order_and_repeats_are_kept() -> None:
    recipe = Recipe.loads(V + "processors: [top_p: 0.9, temperature: 0.7, top_p: 0.5, top_p: 0.9]")
    assert names(recipe) == ["top_p", "temperature", "top_p", "top_p"]


def test_the_ways_of_writing_a_step_are_one() -> None:
    ways = [
        "[top_k: 40]",
        "[top_k: {k: 40}]",
        "[top_k: {top_k: 40}]",
        "\n- top_k:\n    k: 40",
        "[TopKLogitsWarper: 40]",
        "[decodery/top_k: 40]",
        "[top_k: {k: 40, min_keep: 1, ties: keep}]",
        '["top_k": 0x28]',
    ]
    recipes = [Recipe.loads(f"{V}processors: {way}") for way in ways]
    assert all(recipe == recipes[0] for recipe in recipes)


def test_yaml_numbers_are_numbers() -> None:
    recipe = Recipe.loads(V + "processors: [epsilon_cutoff: 1e-5, temperature: 1]")
    first, second = (vars(step.params) for step in recipe.processors)
    assert first["epsilon"] == 1e-5
    assert second == {"temperature": 1.0}


def test_where_a_string_belongs_an_ambiguous_scalar_is_one() -> None:
    recipe = Recipe.loads(V + "name: on\nstop: [stop_strings: [no, 012, 12:30, 2001-01-01]]")
    assert recipe.name == "on"
    assert vars(recipe.stop[0].params)["strings"] == ("no", "012", "12:30", "2001-01-01")


def test_the_seed_belongs_to_every_strategy() -> None:
    for text in ("sample", "greedy"):
        assert (
            Recipe.loads(f"{V}strategy: {{{text}: {{seed: 18446744073709551615}}}}").strategy.seed
            == 2**64 - 1
        )
    assert Recipe.loads(V + "strategy: {sample: }").strategy.seed is None


def test_all_top_level_keys() -> None:
    recipe = Recipe.loads(
        V + "name: a\ndescription: b\ncompat: hf\non_bad_row: stop_row\ninclude_stop: true\nprocessors:"
    )
    assert (recipe.name, recipe.description, recipe.compat) == ("a", "b", "hf")
    assert (recipe.on_bad_row, recipe.include_stop) == ("stop_row", True)
    assert Recipe.loads(V + "compat: null").compat is None


# -- a plugin's steps ---------------------------------------------------------------------------------------------


@pytest.fixture
def host() -> Host:
    return Host("acme", plugins=[PluginInfo("acme", "1.0", "acme_for_recipes")])


def test_a_plugins_steps_go_by_both_names_and_are_never_imported(host: Host) -> None:
    short, long = (
        Recipe.loads(f"{V}processors: [{name}: 3]", host=host) for name in ("narrow", "acme/narrow")
    )
    assert short == long
    assert names(short) == ["acme/narrow"]


def test_parameters_of_any_shape_are_located(host: Host) -> None:
    text = V + "processors: [narrow: {w: 1, table: {a: 1, b: 2, b.c: x, 7: y}}]"
    found = problems_of(text, host)
    assert [(p.column, p.path.rpartition("]")[2]) for p in found] == [
        (54, ".narrow.table.b.c"),
        (60, ".narrow.table.7"),
    ]


def test_a_union_complains_once(host: Host) -> None:
    assert only(V + "processors: [narrow: {w: 1, kind: 1.5}]", host).column == 35


def test_a_strategys_parameters_are_checked_beside_the_seed(host: Host) -> None:
    found = problems_of(V + "strategy: {wide: {seed: -1, width: x}}", host)
    assert [(p.column, p.path) for p in found] == [(25, "strategy.wide.seed"), (36, "strategy.wide.width")]
    use = Recipe.loads(V + "strategy: {wide: {seed: 1, width: 4}}", host=host).strategy
    assert (use.seed, vars(use.params)["width"], use.qualified) == (1, 4, "acme/wide")


def test_a_lone_value_leaves_other_required_parameters_missing(host: Host) -> None:
    found = only(V + "processors: [pair: 1]", host)
    assert (found.code, found.column) == ("missing-parameter", 14)
    assert "'second' is missing" in found.message


# -- nothing but problems -----------------------------------------------------------------------------------------

words = st.sampled_from(
    [
        "recipe",
        "1",
        "strategy",
        "sample",
        "seed",
        "processors",
        "stop",
        "eos",
        "top_p",
        "0.9",
        "yes",
        "012",
        "null",
        "[",
        "]",
        "{",
        "}",
        ",",
        ": ",
        "- ",
        "\n",
        "\n  ",
        "&a",
        "*a",
        "!t",
        "<<",
        "'",
        '"',
        "#",
        "|",
        ">",
        "?",
        "%",
        "@",
        "\\",
        "\t",
        "---",
        "\n...\n",
        "é",
        "\u202e",
        "\x00",
        "top_p: 2",
        "max_new_tokens: 5",
        "compat: hf",
        "~",
        "=",
        "\\ud800",
        '"\\U00110000"',
    ]
)


@given(st.lists(words, max_size=30).map("".join) | st.text(max_size=60) | st.binary(max_size=60))
@settings(max_examples=200, deadline=None)
def test_any_text_gives_a_recipe_or_problems(text: str | bytes) -> None:
    for head in (V, ""):
        raw = head + text if isinstance(text, str) else head.encode() + text
        recipe, problems = check_text(raw, "r.yaml", (), Host(""))
        assert (recipe is None) == bool(problems)
        assert all(p.message and p.line >= 0 and p.length >= 0 for p in problems)
