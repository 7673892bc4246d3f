"""Where recipes come from: files, the box, plugins; and that none of it needs torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from transformers import GenerationConfig

from decodery.contracts.errors import PluginError, RecipeError
from decodery.contracts.params import param_values
from decodery.contracts.specs import RecipeSource
from decodery.host.loader import PluginInfo
from decodery.host.registry import Host
from decodery.recipe.recipe import Recipe, default_stop
from decodery.recipe.syntax.text import MAX_BYTES

BOX = ["chat", "creative", "factual", "greedy", "hf", "sample"]
TEXT = "recipe: 1\nname: mine\nprocessors: [top_k: 7]\n"


def values(recipe: Recipe) -> dict[str, dict[str, object]]:
    return {step.qualified: param_values(step.params) for step in (*recipe.processors, *recipe.stop)}


def test_the_box_holds_what_the_host_says() -> None:
    assert sorted(source.name for source in Host("").builtin(RecipeSource)) == BOX
    folder = Path(sys.modules["decodery.recipe.recipe"].__file__ or "").parent / "library"
    assert sorted(path.stem for path in folder.glob("*.yaml")) == BOX


@pytest.mark.parametrize("name", BOX)
def test_recipes_in_the_box_load_and_say_what_they_are(name: str) -> None:
    recipe = Recipe.load(name)
    assert recipe.name == name
    assert recipe.description == Host("").recipe(name)[1].summary
    assert {"eos", "max_new_tokens"} <= values(recipe).keys()
    assert Recipe.loads(recipe.to_yaml()) == recipe


@pytest.mark.parametrize("name", BOX)
def test_recipes_in_the_box_begin_with_what_they_are_for(name: str) -> None:
    folder = Path(sys.modules["decodery.recipe.recipe"].__file__ or "").parent / "library"
    assert (folder / f"{name}.yaml").read_text().startswith("# ")


def test_the_hf_recipe_is_what_transformers_does_by_default() -> None:
    recipe = Recipe.load("hf")
    # transformers 5 fills these in within generate; before, they were the config's own.
    own = getattr(GenerationConfig, "_get_default_generation_params", lambda: GenerationConfig().to_dict())
    defaults = own()
    assert recipe.compat == "hf"
    assert recipe.strategy.qualified == "sample"
    assert values(recipe)["top_k"]["k"] == defaults["top_k"]
    assert values(recipe)["max_new_tokens"]["max_new_tokens"] == defaults["max_length"]
    # Everything else that could be a step is at its neutral value, so there is no step for it.
    assert len(recipe.processors) == 1
    neutral = {
        "temperature": 1.0,
        "top_p": 1.0,
        "typical_p": 1.0,
        "repetition_penalty": 1.0,
        "epsilon_cutoff": 0.0,
        "eta_cutoff": 0.0,
        "no_repeat_ngram_size": 0,
        "bad_words_ids": None,
    }
    assert {key: defaults[key] for key in neutral} == neutral


def test_a_path_is_a_path_and_a_name_is_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "chat.yaml").write_text(TEXT)
    (tmp_path / "chat").write_text(TEXT)
    (tmp_path / "UPPER.YML").write_text(TEXT)
    monkeypatch.chdir(tmp_path)
    assert Recipe.load("chat").name == "chat"
    for source in (
        "chat.yaml",
        "./chat",
        tmp_path / "chat",
        Path("chat"),
        "UPPER.YML",
        str(tmp_path / "chat.yaml"),
    ):
        assert Recipe.load(source).name == "mine"


def failure(source: str | Path, host: Host | None = None) -> str:
    with pytest.raises(RecipeError) as caught:
        Recipe.load(source, host=host)
    assert str(caught.value).endswith("1 problem found; nothing was run.")
    assert len(caught.value.problems) == 1
    return str(caught.value)


def test_what_cannot_be_found_is_guessed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "story.yaml").write_text(TEXT)
    (tmp_path / "plain").write_text(TEXT)
    assert "did you mean 'chat'?" in failure("chatt")
    assert "did you mean 'story.yaml'?" in failure("storey.yaml")
    assert "did you mean 'chat', the recipe in the box?" in failure("chat.yaml")
    assert "there is no folder 'nowhere' either" in failure("nowhere/x.yaml")
    assert "recipes without a file: greedy" in failure("zzzzzz.yaml")
    assert "write ./plain for the file" in failure("plain")
    assert "write ./story.yaml for the file" in failure("story")
    assert "no plugin 'acme' is installed" in failure("acme/x", Host(""))
    (tmp_path / "stories").mkdir()
    assert "name a file in it, like stories/chat.yaml" in failure("stories")


def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    assert "this is a folder" in failure(tmp_path)
    assert "null byte" in failure("a\0b.yaml")
    secret = tmp_path / "secret.yaml"
    secret.write_text(TEXT)
    assert "File name too long" in failure("x" * 5000 + ".yaml")


def test_mistakes_in_a_file_name_the_file(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(TEXT.replace("7", "-7"))
    with pytest.raises(RecipeError) as caught:
        Recipe.load(path)
    assert f" --> {path}:3:21  (processors[0].top_k.k)" in str(caught.value)


def test_no_more_than_the_limit_is_read(tmp_path: Path) -> None:
    path = tmp_path / "large.yaml"
    with path.open("wb") as file:
        file.truncate(1 << 40)  # a terabyte, all of it a hole
    assert f"larger than {MAX_BYTES // 1024} KiB" in failure(path)
    assert "larger than" in failure("/dev/zero")


def test_a_plugins_recipe_goes_by_both_names() -> None:
    host = Host("acme", plugins=[PluginInfo("acme", "1.0", "acme_for_recipes")])
    assert Recipe.load("tight", host=host) == Recipe.load("acme/tight", host=host)
    assert values(Recipe.load("tight", host=host))["acme/narrow"]["width"] == 2


@pytest.mark.parametrize("name", ["lost", "nowhere"])
def test_a_plugin_that_lacks_its_recipe_is_named(name: str) -> None:
    host = Host("acme", plugins=[PluginInfo("acme", "1.0", "acme_for_recipes")])
    with pytest.raises(PluginError, match=f"'acme/{name}'"):
        Recipe.load(name, host=host)


def test_overrides_reach_a_recipe_in_the_box() -> None:
    recipe = Recipe.load("chat", overrides=["top_k=7", "max_new_tokens=3"])
    assert (values(recipe)["top_k"]["k"], values(recipe)["max_new_tokens"]["max_new_tokens"]) == (7, 3)


def test_the_default_stop_rules() -> None:
    assert default_stop() == Recipe.loads("recipe: 1\nstop: [eos, max_new_tokens: 256]").stop


def test_recipes_need_neither_torch_nor_transformers() -> None:
    code = """
import sys
from decodery.contracts.errors import RecipeError
from decodery.host.registry import Host
from decodery.recipe.recipe import Recipe
for name in "chat creative factual greedy hf sample".split():
    recipe = Recipe.load(name, overrides=["strategy.seed=1"], host=Host(""))
    assert Recipe.loads(recipe.to_yaml(), host=Host("")).fingerprint == recipe.fingerprint
for bad in ("recipe: 1\\nstop: [eoss]", "recipe: 1\\nprocessors: [top_p: 2]", "[["):
    try:
        Recipe.loads(bad, host=Host(""))
    except RecipeError:
        continue
    raise SystemExit("no error")
try:
    Recipe.load("no/such.yaml", host=Host(""))
except RecipeError:
    pass
heavy = {"torch", "transformers", "numpy"} & {name.partition(".")[0] for name in sys.modules}
raise SystemExit(f"imported: {heavy}" if heavy else 0)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
