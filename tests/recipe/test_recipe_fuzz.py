"""Recipes, patches and overrides by chance: only `RecipeError` ever comes out, and nothing else happens."""

from __future__ import annotations

import importlib.resources
import os
import subprocess
from pathlib import Path

import pytest
from fuzzing import Misdeed, Target, feed, mutated, pound
from hypothesis import given, settings
from hypothesis import strategies as st
from recipes_by_chance import HOST, recipes
from test_recipe_compose import SAME_AS_EDITING
from test_recipe_mistakes import MISTAKES

from decodery.contracts.errors import RecipeError
from decodery.recipe.advice import advise
from decodery.recipe.compose.sources import Found, Place
from decodery.recipe.recipe import Recipe, examine
from decodery.recipe.report import render
from decodery.recipe.tools.explain import explain

LIBRARY = importlib.resources.files("decodery") / "recipe" / "library"
IN_THE_BOX = [file.read_bytes() for file in LIBRARY.iterdir() if file.name.endswith(".yaml")]
SEEDS = [
    *IN_THE_BOX * 12,
    b"recipe: 1\nextends: acme/tight\npatch: [{set: {narrow.label: x}}]\n",
    *(f"recipe: 1\n{case[0]}\n".encode() for case in MISTAKES.values()),
    *(f"recipe: 1\nextends: ./chat.yaml\npatch:\n- {change}\n".encode() for change, _, _ in SAME_AS_EDITING),
    b"recipe: 1\nextends: chat\npatch:\n  - set: {temperature: 1.2, top_p.min_keep: 5}\n  - drop: [top_k]\n",
]
OVERRIDES = [
    b"top_p=0.8", b"top_p#1.min_keep=5", b"strategy={sample: {seed: 3}}", b"strategy.seed=3", b"compat=hf",
    b'stop=[eos, stop_strings: ["\\n\\n"]]', b"name=x\ntop_k=3", b"decodery/top_k={k: 3, ties: cut}",
]  # fmt: skip
CHAT = (LIBRARY / "chat.yaml").read_bytes()


def read_recipe(raw: bytes) -> None:
    """The file, all that it extends, its warnings, its explanation and its text."""
    examined = examine(Found("<fuzz>", raw, Place("")), (), HOST)
    if examined.recipe is None:
        raise RecipeError(render(examined.problems), examined.problems)
    render(advise(examined), "ok")
    explain(examined)
    again = Recipe.loads(examined.recipe.to_yaml(filled=True), host=HOST)
    assert again == examined.recipe


def read_override(raw: bytes) -> None:
    """A line of the command line each."""
    Recipe.loads(CHAT, overrides=raw.decode("utf-8", "surrogateescape").split("\n"), host=HOST)


TARGETS: dict[str, tuple[Target, list[bytes]]] = {
    "recipes": (read_recipe, SEEDS),
    "overrides": (read_override, OVERRIDES),
}


@pytest.fixture(autouse=True)
def among_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "chat.yaml").write_bytes(CHAT)


@pytest.mark.parametrize("name", TARGETS)
def test_whatever_the_bytes_nothing_but_a_refusal(name: str) -> None:
    target, seeds = TARGETS[name]
    taken = pound(target, seeds, count=1000, seed=1)
    assert 5 < taken < 995  # some are good still, so that what comes behind the checks is reached, too


@pytest.mark.slow
@pytest.mark.parametrize(("name", "count"), [("recipes", 45_000), ("overrides", 20_000)])
def test_whatever_the_bytes_at_length(name: str, count: int) -> None:
    target, seeds = TARGETS[name]
    assert pound(target, seeds, count=count, seed=2) > 100


WORDS = """recipe extends patch set drop insert replace after at top_k stop processors requires strategy chat
./chat.yaml eos sample top_p#2"""
words = st.sampled_from(WORDS.split())
data = st.recursive(
    words | st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(words | st.text(max_size=6), inner, max_size=4)
    ),
    max_leaves=15,
)


@given(st.dictionaries(words, data, max_size=6), st.booleans())
@settings(max_examples=200, deadline=None)
def test_whatever_the_data_nothing_but_a_refusal(data: dict[str, object], is_recipe: bool) -> None:
    def read(raw: bytes) -> None:
        Recipe.from_dict({**({"recipe": 1} if is_recipe else {}), **data}, folder=".", host=HOST)

    feed(read, repr(data).encode())


@given(recipes, st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None)
def test_a_good_recipe_changed_by_chance_is_good_or_refused(recipe: Recipe, chance: object) -> None:
    feed(read_recipe, mutated([recipe.to_yaml().encode()], chance))  # type: ignore[arg-type]


# -- the harness itself -------------------------------------------------------------------------------------------

MISDEEDS = {
    "writes": lambda raw: open("x", "w"),  # noqa: SIM115
    "appends": lambda raw: os.open("x", os.O_APPEND | os.O_CREAT | os.O_WRONLY),
    "removes": lambda raw: os.remove("chat.yaml"),
    "runs": lambda raw: subprocess.run(["true"], check=False),
    "evaluates": lambda raw: eval("1"),
    "raises": lambda raw: {}["x"],
    "exits": lambda raw: exec("raise SystemExit"),
}


@pytest.mark.parametrize("misdeed", MISDEEDS.values(), ids=MISDEEDS.keys())
def test_the_harness_sees_a_misdeed(misdeed: Target) -> None:
    with pytest.raises(AssertionError):
        feed(misdeed, b"")
    assert issubclass(Misdeed, BaseException)
    assert Path("chat.yaml").exists()


def test_the_harness_takes_a_refusal_and_a_value() -> None:
    def refuse(raw: bytes) -> None:
        raise RecipeError("no")

    assert feed(refuse, b"") is False
    assert feed(lambda raw: None, b"") is True
