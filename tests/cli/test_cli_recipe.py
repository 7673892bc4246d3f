"""`decodery recipe check`."""

from __future__ import annotations

import json

import pytest

GOOD = """
recipe: 1
name: careful
strategy: sample
processors:
  - repetition_penalty: 1.1
  - temperature: 0.7
  - top_p: 0.9
stop: [eos, max_new_tokens: 64]
"""
BAD = """recipe: 1
processors:
  - top_pp: 0.9
  - temperature: -1
"""


@pytest.fixture
def files(tmp_path):
    (tmp_path / "good.yaml").write_text(GOOD)
    (tmp_path / "bad.yaml").write_text(BAD)
    return tmp_path


def test_a_good_recipe_is_ok_and_counted(run, files):
    outcome = run("recipe", "check", files / "good.yaml")
    assert (outcome.code, outcome.err) == (0, "")
    fingerprint = json.loads(run("recipe", "check", "--json", files / "good.yaml").out)["fingerprint"]
    assert (
        outcome.out == f"{files}/good.yaml: ok (3 processors, 2 stop rules, fingerprint {fingerprint[:12]})\n"
    )


def test_every_mistake_is_located_and_each_file_is_checked(run, files):
    outcome = run("recipe", "check", files / "bad.yaml", files / "good.yaml")
    assert (outcome.code, outcome.err) == (1, "")
    assert f"{files}/bad.yaml:3:5" in outcome.out
    assert "did you mean 'top_p'?" in outcome.out
    assert f"{files}/bad.yaml:4:18" in outcome.out
    assert "2 problems found" in outcome.out
    assert f"{files}/good.yaml: ok" in outcome.out


def test_json_has_a_line_a_file_with_positions(run, files):
    outcome = run("recipe", "check", "--json", files / "bad.yaml", files / "good.yaml", "nowhere.yaml")
    assert outcome.code == 1
    bad, good, missing = (json.loads(line) for line in outcome.out.splitlines())
    assert [(p["line"], p["column"]) for p in bad["problems"]] == [(3, 5), (4, 18)]
    assert all(p["message"] for p in bad["problems"])
    assert (bad["ok"], good["ok"], missing["ok"]) == (False, True, False)
    assert good["processors"] == ["repetition_penalty", "temperature", "top_p"]
    assert (good["name"], good["strategy"], good["stop"]) == ("careful", "sample", ["eos", "max_new_tokens"])
    assert missing["problems"][0]["message"]


def test_overrides_are_checked_with_the_recipe(run, files):
    assert run("recipe", "check", files / "good.yaml", "-o", "top_p=0.5").code == 0
    outcome = run("recipe", "check", files / "good.yaml", "-o", "top_p=1.5")
    assert outcome.code == 1
    assert "1.5" in outcome.out


def test_stdin_and_the_box_are_recipes_too(run):
    outcome = run("recipe", "check", "-", "chat", stdin=GOOD.encode())
    assert outcome.code == 0
    first, second = outcome.out.splitlines()
    assert first.startswith("<stdin>: ok (3 processors, 2 stop rules")
    assert second.startswith("chat: ok (4 processors")
    assert "<stdin>:3:5" in run("recipe", "check", "-", stdin=BAD.encode()).out


def test_every_recipe_in_the_box_is_good(run):
    names = ["greedy", "sample", "chat", "creative", "factual", "hf"]
    assert run("recipe", "check", *names).out.count(": ok (") == len(names)
