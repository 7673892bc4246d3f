"""`decodery recipe import` and `export`."""

from __future__ import annotations

import json

import pytest

REQUEST = '{"temperature": 0.7, "top_p": 0.9, "max_tokens": 50, "seed": 3, "bogus": 1, "n": 2}'
RECIPE = """\
recipe: 1
strategy: {sample: {seed: 3}}
processors:
  - temperature: 0.7
  - top_p: 0.9
stop:
  - eos
  - max_new_tokens: 50
"""


@pytest.fixture
def file(tmp_path):
    (tmp_path / "request.json").write_text(REQUEST)
    return tmp_path / "request.json"


def test_the_recipe_goes_to_stdout_and_the_report_to_stderr(run, file):
    outcome = run("recipe", "import", file, "--from", "openai")
    assert (outcome.code, outcome.out) == (0, RECIPE)
    lines = outcome.err.splitlines()
    assert [line.split()[0] for line in lines] == list(json.loads(REQUEST))
    statuses = [next(w for w in line.split() if w in ("exact", "approximated", "dropped")) for line in lines]
    assert statuses == ["exact", "approximated", "exact", "approximated", "dropped", "dropped"]


def test_quiet_keeps_the_report_and_strict_the_exit_code(run, file):
    outcome = run("recipe", "import", file, "--from", "openai", "-q", "--strict")
    assert (outcome.code, outcome.out, outcome.err) == (1, RECIPE, "")
    file.write_text('{"temperature": 0.7, "max_tokens": 50}')
    assert run("recipe", "import", file, "--from", "openai", "--strict").code == 0


def test_json_has_the_report_and_what_no_recipe_holds(run, file):
    outcome = run("recipe", "import", file, "--from", "openai", "--json")
    assert (outcome.code, outcome.err) == (0, "")
    data = json.loads(outcome.out)
    assert (data["file"], data["ok"], data["exact"]) == (str(file), True, False)
    assert data["text"] == RECIPE
    assert data["call"] == {"n": 2}
    assert data["decoder"] == {}
    assert [line["key"] for line in data["keys"]] == list(json.loads(REQUEST))
    assert set(data["keys"][0]) == {"key", "value", "status", "into", "note"}
    checked = json.loads(run("recipe", "check", "-", "--json", stdin=RECIPE.encode()).out)
    assert data["fingerprint"] == checked["fingerprint"]


def test_mistakes_are_located_in_both_forms(run, file):
    file.write_text('{"temperature": 0.7,\n "top_p": 1.5}')
    outcome = run("recipe", "import", file, "--from", "openai")
    assert (outcome.code, outcome.out) == (1, "")
    assert f"{file}:2:2" in outcome.err
    data = json.loads(run("recipe", "import", file, "--from", "openai", "--json").out)
    assert data["ok"] is False
    assert [(p["line"], p["column"]) for p in data["problems"]] == [(2, 2)]


def test_a_recipe_becomes_flags_and_flags_the_recipe(run, tmp_path):
    (tmp_path / "r.yaml").write_text(RECIPE)
    out = run("recipe", "export", tmp_path / "r.yaml", "--to", "llama.cpp", "-o", "temperature=0.9", "-q").out
    assert "--temp 0.9" in out
    assert "--samplers 'temperature;top_p'" in out
    back = run("recipe", "import", "-", "--from", "llama.cpp", "-q", stdin=out.encode())
    assert back.out == RECIPE.replace("temperature: 0.7", "temperature: 0.9")


def test_every_recipe_in_the_box_can_be_written_for_everybody(run):
    for name in ("greedy", "sample", "chat", "creative", "factual", "hf"):
        for form in ("hf", "llama.cpp", "openai", "vllm"):
            outcome = run("recipe", "export", name, "--to", form, "--json")
            data = json.loads(outcome.out)
            assert data["ok"], (name, form)
            again = run("recipe", "import", "-", "--from", form, "--json", stdin=data["text"].encode())
            assert json.loads(again.out)["ok"], (name, form)


def test_wrong_names_say_the_right_ones(run, file):
    assert "llama.cpp" in run("recipe", "import", file, "--from", "llama").err
    outcome = run("recipe", "export", "chat", "--to", "tgw")
    assert outcome.code == 1
    assert "read, and not written" in outcome.err
    assert "written: hf" in outcome.err
    assert "did you mean 'chat'" in run("recipe", "export", "chatt", "--to", "hf").err
    assert run("recipe", "import", file).code == 2
    assert "cannot be read" in run("recipe", "import", "nowhere.json", "--from", "hf").err
