"""Defaults < base < child < patch < command line; and what is wrong in a base says who extends it."""

from __future__ import annotations

from pathlib import Path

import pytest

from decodery.contracts.errors import RecipeError
from decodery.contracts.params import param_values
from decodery.host.loader import PluginInfo
from decodery.host.registry import Host
from decodery.recipe.compose.layers import MAX_CHAIN
from decodery.recipe.recipe import Recipe
from decodery.recipe.report import MAX_REPORT, Problem
from decodery.recipe.syntax.nodes import MAX_NODES
from decodery.recipe.syntax.text import MAX_BYTES

CHAT = """\
recipe: 1
name: chat
description: talk
strategy: {sample: {seed: 42}}
processors:
  - repetition_penalty: {penalty: 1.1, window: 256}
  - temperature: 0.7
  - top_k: 40
  - top_p: 0.95
stop:
  - eos
  - max_new_tokens: 64
compat: hf
include_stop: true
"""


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "chat.yaml").write_text(CHAT)
    return tmp_path


def child(text: str, base: str = "./chat.yaml", name: str = "child.yaml", **options: object) -> Recipe:
    Path(name).parent.mkdir(exist_ok=True, parents=True)
    Path(name).write_text(f"recipe: 1\nextends: {base}\n{text}")
    return Recipe.load(name, **options)  # type: ignore[arg-type]


def problems(text: str, base: str = "./chat.yaml", **options: object) -> list[Problem]:
    with pytest.raises(RecipeError) as caught:
        child(text, base, **options)
    assert len(str(caught.value).encode()) <= MAX_REPORT
    return list(caught.value.problems)  # type: ignore[arg-type]


def steps(recipe: Recipe) -> list[tuple[str, object]]:
    return [
        (step.qualified, next(iter(param_values(step.params).values()), None)) for step in recipe.processors
    ]


def test_the_example_of_the_design(files: Path) -> None:
    recipe = child("""\
patch:
  - set: {temperature: 1.2, repetition_penalty.window: 512}
  - drop: [top_k]
  - replace: {top_p: {min_p: 0.05}}
  - insert: {typical_p: 0.9}
    after: min_p
""")
    written = CHAT.replace("name: chat\ndescription: talk\n", "").replace("256", "512").replace("0.7", "1.2")
    written = written.replace("  - top_k: 40\n", "").replace("top_p: 0.95", "min_p: 0.05\n  - typical_p: 0.9")
    assert recipe == Recipe.loads(written)


def test_a_child_has_what_it_says_and_the_rest_of_its_base(files: Path) -> None:
    base = Recipe.load("chat.yaml")
    assert child("").fingerprint == base.fingerprint
    recipe = child("strategy: greedy\nstop: [max_new_tokens: 9]\ncompat: null\ninclude_stop: false")
    assert (recipe.strategy.qualified, recipe.strategy.seed) == ("greedy", None)
    assert (recipe.compat, recipe.include_stop) == (None, False)
    assert [step.qualified for step in recipe.stop] == ["max_new_tokens"]
    assert recipe.processors == base.processors
    assert child("processors: []").processors == ()


def test_a_child_is_not_called_what_its_base_is_called(files: Path) -> None:
    assert (child("").name, child("").description) == ("", "")
    assert child("name: mine").name == "mine"


def test_the_order_is_defaults_base_child_patch_command_line(files: Path) -> None:
    (files / "bottom.yaml").write_text("recipe: 1\nprocessors: [temperature: 0.1]")
    patch = "patch: [{set: {temperature: 0.3, max_new_tokens: 7}}]"
    assert steps(child("", "./bottom.yaml")) == [("temperature", 0.1)]
    assert steps(child("processors: [temperature: 0.2]", "./bottom.yaml")) == [("temperature", 0.2)]
    recipe = child(f"processors: [temperature: 0.2]\n{patch}", "./bottom.yaml")
    assert steps(recipe) == [("temperature", 0.3)]
    assert param_values(recipe.stop[1].params) == {"max_new_tokens": 7}  # a patch reaches the defaults, too
    recipe = child(patch, "./bottom.yaml", overrides=["temperature=0.4"])
    assert steps(recipe) == [("temperature", 0.4)]


def test_a_patch_of_a_base_is_made_before_the_childs(files: Path) -> None:
    child("patch: [{set: {temperature: 2}}, {insert: {min_p: 0.1}}]", name="middle.yaml")
    recipe = child("patch: [{replace: {min_p: {top_k: 3}}}, {drop: top_k#1}]", "middle.yaml")
    assert steps(recipe) == [("repetition_penalty", 1.1), ("temperature", 2.0), ("top_p", 0.95), ("top_k", 3)]


def test_paths_begin_at_the_file_that_says_them(files: Path) -> None:
    child("patch: [{drop: top_k}]", "../chat.yaml", name="deep/er/../middle.yaml")
    recipe = child("patch: [{drop: top_p}]", "../deep/middle.yaml", name="other/child.yaml")
    assert [name for name, _ in steps(recipe)] == ["repetition_penalty", "temperature"]
    text = "recipe: 1\nextends: chat.yaml"
    assert Recipe.loads(text, folder=files).processors == Recipe.load("chat.yaml").processors
    data = {"recipe": 1, "extends": "./chat.yaml", "patch": [{"drop": ["top_k"]}]}
    assert len(Recipe.from_dict(data, folder=files).processors) == 3


def test_recipes_in_the_box_and_of_plugins_are_bases_by_name(files: Path) -> None:
    host = Host("acme", plugins=[PluginInfo("acme", "1.0", "acme_for_recipes")])
    assert child("", "chat").processors == Recipe.load("chat").processors  # the box, not ./chat.yaml
    for name in ("acme/tight", "tight"):
        recipe = child("patch: [{set: {narrow.label: x}}]", name, host=host)
        assert param_values(recipe.processors[0].params)["label"] == "x"
    for name in ("acme/lost", "nowhere"):
        (found,) = problems("", name, host=host)
        assert (found.code, found.line, found.column) == ("not-found", 2, 10)
        assert "cannot be read" in found.message


def test_a_plugins_recipe_extends_those_beside_it_and_nothing_else(files: Path) -> None:
    host = Host("acme", plugins=[PluginInfo("acme", "1.0", "acme_for_recipes")])
    assert steps(Recipe.load("acme/wider", host=host)) == [("acme/narrow", 9)]
    with pytest.raises(RecipeError, match="leads out of its package"):
        Recipe.load("acme/outside", host=host)


# -- mistakes -----------------------------------------------------------------------------------------------------


def test_a_mistake_in_a_base_says_who_extends_it(files: Path) -> None:
    (files / "chat.yaml").write_text(CHAT.replace("0.7", "-7"))
    (files / "middle.yaml").write_text("recipe: 1\nextends: ./chat.yaml")
    with pytest.raises(RecipeError) as caught:
        child("on_bad_row: stopp", "middle.yaml")
    assert (
        str(caught.value)
        == """\
error: on_bad_row is error or stop_row, not stopp
 --> child.yaml:3:13  (on_bad_row)
3 | on_bad_row: stopp
  |             ^^^^^
  = help: write on_bad_row: stop_row
error: temperature = -7: input should be greater than 0
 --> chat.yaml:7:18  (processors[1].temperature.temperature)
7 |   - temperature: -7
  |                  ^^
  = note: middle.yaml:2:10 extends chat.yaml
  = note: child.yaml:2:10 extends middle.yaml
  = help: it is greater than 0
2 problems found; nothing was run."""
    )


def test_a_mistake_in_a_patch_is_told_in_the_patch(files: Path) -> None:
    (found,) = problems("patch:\n  - set: {top_p: 1.5}")
    assert (found.source, found.line, found.column, found.notes) == ("child.yaml", 4, 18, ())


@pytest.mark.parametrize("base", ["nowhere.yaml", "[x]", "/etc/passwd", "''"])
def test_without_its_base_a_recipe_has_that_mistake_and_its_own(files: Path, base: str) -> None:
    """What a patch or an override would change is not known, so they are not blamed."""
    found = problems("patch: [{drop: top_k}]\nname: 3", base, overrides=["temperature=1"])
    assert [(problem.line, problem.code) for problem in found][1:] == [(4, "bad-value")]
    assert found[0].line == 2


def test_a_base_that_cannot_be_read_says_why(files: Path) -> None:
    for text, code in (
        ("[", "syntax"),
        ("recipe: 2", "version"),
        ("- x", "shape"),
        ("recipe: 1\na: *b", "alias"),
    ):
        (files / "chat.yaml").write_text(text)
        first = problems("")[0]
        assert (first.code, first.source) == (code, "chat.yaml")
        assert first.notes == ("child.yaml:2:10 extends chat.yaml",)


def test_cycles_are_refused(files: Path) -> None:
    (found,) = problems("", "child.yaml")
    assert (found.code, found.line, found.column) == ("extends-cycle", 2, 10)
    assert "child.yaml -> child.yaml" in found.message
    child("", name="a.yaml", base="chat.yaml")
    (files / "b.yaml").write_text("recipe: 1\nextends: ./a.yaml")
    (files / "a.yaml").write_text("recipe: 1\nextends: ./link.yaml")
    (files / "link.yaml").symlink_to("b.yaml")
    (found,) = problems("", "./b.yaml")
    assert "b.yaml -> a.yaml -> link.yaml" in found.message


def test_a_chain_has_an_end(files: Path) -> None:
    for number in range(MAX_CHAIN - 1):
        base = f"f{number - 1}.yaml" if number else "chat.yaml"
        child("", base, name=f"f{number}.yaml")
    (found,) = problems("", f"f{MAX_CHAIN - 2}.yaml")
    assert "more than 8 recipes" in found.message
    assert child("", f"f{MAX_CHAIN - 3}.yaml").processors


def test_the_limits_are_for_all_files_together(files: Path) -> None:
    half = MAX_NODES // 2
    (files / "chat.yaml").write_text("recipe: 1\nname: [" + "x," * half + "]")
    found = problems("description: [" + "x," * half + "]")
    assert [p.source for p in found if p.code == "too-many-nodes"] == ["chat.yaml"]
    (files / "chat.yaml").write_text("recipe: 1\n" + "#" * (MAX_BYTES - 60))
    assert child("").processors == ()
    found = problems("#" * 60)
    assert (found[0].code, found[0].source) == ("too-large", "chat.yaml")


def test_only_plain_files_are_bases(files: Path, tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "null.yaml").symlink_to("/dev/zero")
    for base, said in (("pipe", "no plain file"), ("null", "no plain file"), ("folder", "a folder")):
        (found,) = problems("", f"{base}.yaml")
        assert said in found.message


def test_a_missing_base_is_guessed(files: Path) -> None:
    (found,) = problems("", "./chatt.yaml")
    assert found.code == "not-found"
    assert "did you mean 'chat.yaml'?" in found.remedy


# -- requires -----------------------------------------------------------------------------------------------------


def test_requirements_that_are_met_are_kept(files: Path) -> None:
    (files / "chat.yaml").write_text(CHAT + 'requires: ["pluggy>=1", PyYAML]')
    recipe = child('requires: ["pydantic>=2,<9", "pluggy>=1"]')
    assert recipe.requires == ("pluggy>=1", "PyYAML", "pydantic<9,>=2")
    assert Recipe.loads(recipe.to_yaml()) == recipe
    assert recipe.fingerprint == Recipe.loads(CHAT).fingerprint


def test_a_requirement_of_a_base_is_told_there(files: Path) -> None:
    (files / "chat.yaml").write_text(CHAT + 'requires: ["pluggy<1"]')
    (found,) = problems("requires: [pydantic]")
    assert (found.source, found.code, found.path) == ("chat.yaml", "requires", "requires[0]")
    assert found.notes


# -- the operations, each against an editor -----------------------------------------------------------------------

FOUR = "- temperature: 0.7\n- top_k: 40\n- top_p: {p: 0.9, min_keep: 2}\n- top_k: 20\n"
# fmt: off
SAME_AS_EDITING = [
    ("set: {temperature: 1}", "temperature: 0.7", "temperature: 1"),
    ("set: {TemperatureLogitsWarper: 1}", "temperature: 0.7", "temperature: 1"),
    ("set: {top_k#2: 3}", "top_k: 20", "top_k: 3"),
    ("set: {'top_k#2': 3}", "top_k: 20", "top_k: 3"),
    ("set: {top_p.min_keep: 5}", "min_keep: 2", "min_keep: 5"),
    ("set: {top_p: {p: 0.5}}", "0.9", "0.5"),
    ("set: {temperature: 1, top_p: 0.1}", "0.7\n- top_k: 40\n- top_p: {p: 0.9", "1\n- top_k: 40\n- top_p: {p: 0.1"),
    ("drop: temperature", "- temperature: 0.7\n", ""),
    ("drop: [top_k#1]", "- top_k: 40\n", ""),
    ("drop: [top_k#1, top_k#2]", FOUR, "- temperature: 0.7\n- top_p: {p: 0.9, min_keep: 2}\n"),
    ("replace: {top_p: {min_p: 0.1}}", "top_p: {p: 0.9, min_keep: 2}", "min_p: 0.1"),
    ("replace: {top_k#1: {min_p: 0.1}, top_p: {top_p: 1}}",
     "top_k: 40\n- top_p: {p: 0.9, min_keep: 2}", "min_p: 0.1\n- top_p: 1"),
    ("{insert: {min_p: 0.1}, after: temperature}", "0.7\n", "0.7\n- min_p: 0.1\n"),
    ("{insert: {min_p: 0.1}, before: top_k#2}", "- top_k: 20", "- min_p: 0.1\n- top_k: 20"),
    ("{insert: {min_p: 0.1}, at: 0}", "- temp", "- min_p: 0.1\n- temp"),
    ("{insert: {min_p: 0.1}, at: 4}", "20\n", "20\n- min_p: 0.1\n"),
    ("insert: {min_p: 0.1}", "20\n", "20\n- min_p: 0.1\n"),
    ("{insert: [{min_p: 0.1}, {top_p: 1}], at: 1}", "0.7\n", "0.7\n- min_p: 0.1\n- top_p: 1\n"),
]
# fmt: on


@pytest.mark.parametrize(("change", "old", "new"), SAME_AS_EDITING, ids=[c[0] for c in SAME_AS_EDITING])
def test_a_change_equals_editing_the_file(change: str, old: str, new: str) -> None:
    assert old in FOUR
    patched = Recipe.loads(f"recipe: 1\nprocessors:\n{FOUR}patch:\n- {change}\n")
    assert patched == Recipe.loads(f"recipe: 1\nprocessors:\n{FOUR.replace(old, new)}")


def test_a_patch_reaches_stop_rules_and_keys() -> None:
    patch = "[{set: {compat: hf, strategy.seed: 3, include_stop: true, name: x}}, {insert: {max_time: 3}}, {drop: eos}]"
    recipe = Recipe.loads(f"recipe: 1\npatch: {patch}")
    assert (recipe.compat, recipe.strategy.seed, recipe.include_stop, recipe.name) == ("hf", 3, True, "x")
    assert [step.qualified for step in recipe.stop] == ["max_new_tokens", "max_time"]


def test_changes_follow_one_another() -> None:
    patch = "[{insert: {top_k: 1}}, {set: {top_k: 2}}, {replace: {top_k: {top_p: 0.5}}}, {set: {top_p: 0.6}}]"
    assert steps(Recipe.loads(f"recipe: 1\npatch: {patch}")) == [("top_p", 0.6)]


def test_a_release_candidate_that_is_installed_counts(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / "acme_pre-1.0rc1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-pre\nVersion: 1.0rc1\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert child('requires: ["acme_pre>=0.3,<2"]').requires == ("acme_pre<2,>=0.3",)
    (found,) = problems('requires: ["acme_pre>=1"]')
    assert found.message == "acme_pre 1.0rc1 is installed; the recipe needs >=1"


def test_a_file_that_is_meant_by_its_bare_name_is_found_beside_its_child(files: Path) -> None:
    (files / "deep").mkdir()
    for name in ("base.yaml", "other.yml", "bare"):
        (files / "deep" / name).write_text("recipe: 1\n")
    for said, meant in (("base", "base.yaml"), ("other", "other.yml"), ("bare", "bare")):
        (files / "deep" / "child.yaml").write_text(f"recipe: 1\nextends: {said}\n")
        with pytest.raises(RecipeError, match=f"unknown recipe '{said}'") as caught:
            Recipe.load("deep/child.yaml")
        assert f"write ./{meant} for the file of that name" in str(caught.value)
    # A text from nowhere looks at no files.
    (files / "base.yaml").write_text("recipe: 1\n")
    with pytest.raises(RecipeError) as caught:
        Recipe.loads("recipe: 1\nextends: base\n")
    assert "./base" not in str(caught.value)
