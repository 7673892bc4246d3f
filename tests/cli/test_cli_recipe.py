"""`decodery recipe`: check, fill, explain, schema, diff."""

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


# -- what is built on others --------------------------------------------------------------------------------------

CHILD = """recipe: 1
extends: ./good.yaml
patch:
  - set: {temperature: 1.2}
  - drop: top_p
"""


def test_paths_begin_at_the_file_and_for_stdin_in_the_current_directory(run, shell, files):
    (files / "child.yaml").write_text(CHILD)
    assert "ok (2 processors" in run("recipe", "check", files / "child.yaml").out
    assert "there is no file 'good.yaml'" in run("recipe", "check", "-", stdin=CHILD.encode()).out
    assert "ok (2 processors" in shell("recipe", "check", "-", stdin=CHILD, cwd=files).out


def test_stdin_is_read_no_further_than_a_recipe_may_be_long(run):
    outcome = run("recipe", "check", "-", stdin=b"#" * (1 << 20))
    assert outcome.code == 1
    assert "larger than 256 KiB" in outcome.out


# -- warnings -----------------------------------------------------------------------------------------------------


def test_warnings_stop_nothing_unless_asked_to(run, files):
    (files / "odd.yaml").write_text(GOOD.replace("max_new_tokens: 64", "stop_strings: x"))
    outcome = run("recipe", "check", files / "odd.yaml")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith("warning[no-length-limit]: nothing limits the length")
    assert "odd.yaml: ok but for 1 warning (3 processors" in outcome.out
    strict = run("recipe", "check", "--strict", files / "odd.yaml")
    assert strict.code == 1
    assert "odd.yaml: 1 warning, which --strict does not let pass" in strict.out
    assert run("recipe", "check", "--strict", files / "good.yaml").code == 0
    told = json.loads(run("recipe", "check", "--strict", "--json", files / "odd.yaml").out)
    assert (told["ok"], told["problems"]) == (False, [])
    (warning,) = told["warnings"]
    assert (warning["code"], warning["severity"], warning["line"]) == ("no-length-limit", "warning", 9)
    assert json.loads(run("recipe", "check", "--json", files / "odd.yaml").out)["ok"] is True


# -- fill, explain, diff, schema ----------------------------------------------------------------------------------


def test_fill_prints_a_recipe_that_stands_alone(run, files):
    (files / "child.yaml").write_text(CHILD)
    outcome = run("recipe", "fill", files / "child.yaml", "-o", "max_new_tokens=3")
    assert (outcome.code, outcome.err) == (0, "")
    assert "- max_new_tokens: {max_new_tokens: 3}" in outcome.out
    again = run("recipe", "fill", "-", stdin=outcome.out.encode())
    assert again.out == outcome.out
    told = json.loads(run("recipe", "fill", "--json", files / "child.yaml").out)
    assert told["recipe"]["processors"][1] == {"temperature": {"temperature": 1.2}}


def test_fill_diff_says_what_filling_adds(run, files):
    out = run("recipe", "fill", "--diff", files / "good.yaml").out
    assert out.splitlines()[:2] == [f"--- {files}/good.yaml", f"+++ {files}/good.yaml, filled"]
    assert "-  - top_p: 0.9\n" in out
    assert "+  - top_p: {p: 0.9, min_keep: 1}\n" in out
    assert "   - eos\n" in out
    filled = run("recipe", "fill", files / "good.yaml").out
    assert run("recipe", "fill", "--diff", "-", stdin=filled.encode()).out == ""
    told = json.loads(run("recipe", "fill", "--diff", "--json", files / "good.yaml").out)
    assert told["diff"] == out.splitlines()


def test_explain_has_a_line_a_value(run, files):
    (files / "child.yaml").write_text(CHILD)
    outcome = run("recipe", "explain", files / "child.yaml", "-o", "repetition_penalty.window=9")
    assert (outcome.code, outcome.err) == (0, "")
    lines = [[word.strip() for word in line.split("  ") if word.strip()] for line in outcome.out.splitlines()]
    table = {words[0]: words[1:] for words in lines if words}
    assert table["penalty"] == ["1.1", f"base, {files}/good.yaml:6"]
    assert table["window"] == ["9", "<command line>:1:27"]
    assert table["scope"] == ['"all"', "default"]
    assert table["temperature"] == ["1.2", f"patch, {files}/child.yaml:4"]
    assert "traits: argmax_invariant, compilable, stateless" in table
    told = json.loads(run("recipe", "explain", "--json", files / "child.yaml").out)
    assert told["processors"][1]["values"][0]["origin"]["kind"] == "patch"
    assert told["needs"] == ["eos", "padding", "prompt_lengths"]


def test_diff_says_what_differs_and_exits_like_diff(run, files):
    (files / "child.yaml").write_text(CHILD)
    same = run("recipe", "diff", files / "good.yaml", files / "good.yaml")
    assert (same.code, same.out.count("do the same")) == (0, 1)
    outcome = run("recipe", "diff", files / "good.yaml", files / "child.yaml")
    assert outcome.code == 1
    assert "  - top_p: 0.9  (processors[2])\n" in outcome.out
    assert "  ~ temperature.temperature: 0.7 -> 1.2  (processors[1].temperature)\n" in outcome.out
    told = json.loads(run("recipe", "diff", "--json", "greedy", "sample").out)
    assert (told["same"], told["changes"][0]["before"], told["changes"][0]["after"]) == (
        False,
        "greedy",
        "sample",
    )
    assert run("recipe", "diff", "sample", "sample", "-o", "strategy.seed=3").code == 1


def test_schema_is_json(run):
    told = json.loads(run("recipe", "schema").out)
    assert told["required"] == ["recipe"]
    assert json.loads(run("recipe", "schema", "--json").out) == told


@pytest.mark.parametrize("command", ["fill", "explain"])
def test_a_bad_recipe_is_one_report_on_stderr(run, files, command):
    outcome = run("recipe", command, files / "bad.yaml")
    assert (outcome.code, outcome.out) == (1, "")
    assert "2 problems found" in outcome.err
    assert run("recipe", "diff", "greedy", files / "bad.yaml").code == 1
