"""`decodery plugins` on real distributions laid out in a folder."""

from __future__ import annotations

import json
import logging
import os
import re

import pytest

from decodery.host.loader import PluginInfo

GOOD = """
from decodery import hookimpl
from decodery.contracts.specs import ModelSpec, RecipeSource, StepSpec
from decodery.contracts.params import FiniteFloat, PositiveInt, Probability, alias, params
from typing import Annotated

@params
class TopA:
    a: Annotated[Probability, alias("threshold")]
    power: FiniteFloat = 2.0
    min_keep: PositiveInt = 1

@hookimpl
def provide_steps():
    return [StepSpec("top_acme", "processor", "this:TopA", params=TopA, reference="A paper, 2020",
                     summary="drops [red]weak[/red] tokens")]

@hookimpl
def provide_models():
    return [ModelSpec("tiny", "this:load", summary="a tiny one")]
"""
BROKEN = "raise RuntimeError('no such luck')"
EXITS = "raise SystemExit(3)"


def test_list_imports_no_plugin(shell, install):
    site = install("acme-broken", BROKEN, summary="breaks when imported")
    install("acme-exits", EXITS)
    outcome = shell("plugins", "list", PYTHONPATH=str(site))
    assert outcome.code == 0
    assert re.search(r"^acme-broken +1\.2\.3 +installed +breaks when imported$", outcome.out, re.MULTILINE)
    assert outcome.err == ""
    names = [
        row["plugin"] for row in json.loads(shell("plugins", "list", "--json", PYTHONPATH=str(site)).out)
    ]
    assert names[0] == "decodery"
    assert {"acme-broken", "acme-exits"} <= set(names)


def test_list_says_what_the_environment_switched_off(shell, install):
    site = install("acme-good", GOOD)
    outcome = shell("plugins", "list", PYTHONPATH=str(site), DECODERY_PLUGINS="-acme-good")
    assert re.search(r"^acme-good .* disabled", outcome.out, re.MULTILINE)
    assert "DECODERY_PLUGINS='-acme-good'" in outcome.err


@pytest.mark.parametrize("command", [("list",), ("list", "--json"), ("doctor",)], ids=" ".join)
def test_a_mistyped_name_in_the_environment_is_told(command, shell, install):
    site = str(install("acme-good", GOOD))
    told = "DECODERY_PLUGINS names what is not installed: "
    wrong = shell(
        "plugins", *command, PYTHONPATH=site, DECODERY_PLUGINS="Acme_Good, acme-goof,-acme-nil,acme-goof"
    )
    assert wrong.code == 0
    assert [line for line in wrong.err.splitlines() if told in line] == [f"{told}'acme-goof', 'acme-nil'"]
    for right in ("", "-", "decodery", "Acme.Good,", "-acme-good"):
        assert told not in shell("plugins", *command, PYTHONPATH=site, DECODERY_PLUGINS=right).err


def test_show_tells_bounds_defaults_and_reference_of_a_plugins_step(shell, install):
    site = install("acme-good", GOOD)
    out = shell("plugins", "show", "Acme_Good", PYTHONPATH=str(site)).out
    assert "acme-good/top_acme  (processor)" in out
    assert "drops [red]weak[/red] tokens" in out
    assert re.search(r"a +number, >= 0, <= 1; required; also threshold", out)
    assert re.search(r"power +number; default 2\.0", out)
    assert re.search(r"min_keep +integer, > 0; default 1", out)
    assert "reference: A paper, 2020" in out
    assert "acme-good/tiny  (model)" in out
    # A step by its bare name shows the same; the factory it points at is not imported.
    [step] = json.loads(shell("plugins", "show", "top_acme", "--json", PYTHONPATH=str(site)).out)
    assert (step["name"], step["from"]) == ("acme-good/top_acme", "acme-good 1.2.3")
    assert step["parameters"][0] == {
        "name": "a",
        "type": "number, >= 0, <= 1",
        "required": True,
        "aliases": ["threshold"],
    }


def test_show_names_every_record_of_a_name(run):
    found = json.loads(run("plugins", "show", "greedy", "--json").out)
    assert [record["kind"] for record in found] == ["strategy", "recipe"]


def test_show_suggests_a_name(run):
    outcome = run("plugins", "show", "temperatur")
    assert (outcome.code, outcome.out) == (1, "")
    assert "'temperatur'" in outcome.err
    assert "did you mean 'temperature'?" in outcome.err
    assert "'mix' does that" in run("plugins", "show", "cfg").err


def test_show_of_a_broken_plugin_says_so_and_fails(shell, install):
    site = install("acme-broken", BROKEN)
    outcome = shell("plugins", "show", "acme-broken", PYTHONPATH=str(site))
    assert outcome.code == 1
    assert "cannot be imported: RuntimeError: no such luck" in outcome.err
    assert "Traceback" not in outcome.err


def test_doctor_tells_ok_broken_conflict_and_disabled_apart(shell, install):
    site = install("acme-good", GOOD)
    install("acme-twin", GOOD)
    install("acme-broken", BROKEN)
    install("acme-exits", EXITS)
    install("acme-off", BROKEN)
    outcome = shell("plugins", "doctor", "--json", PYTHONPATH=str(site), DECODERY_PLUGINS="-acme-off")
    assert outcome.code == 1
    rows = {row["plugin"]: row for row in json.loads(outcome.out)}
    states = {name: row["state"] for name, row in rows.items() if name.startswith("acme")}
    assert states == {
        "acme-good": "conflict",
        "acme-twin": "conflict",
        "acme-broken": "broken",
        "acme-exits": "broken",
        "acme-off": "disabled",
    }
    assert rows["decodery"]["state"] == "ok"
    assert rows["acme-good"]["provides"] == {"steps": ["top_acme"], "models": ["tiny"]}
    assert rows["acme-good"]["import_seconds"] > 0
    assert "top_acme also in acme-twin" in rows["acme-good"]["problem"]
    assert "trace" not in rows["acme-broken"]


def test_doctor_shows_tracebacks_only_when_asked(shell, install):
    site = install("acme-broken", BROKEN)
    plain = shell("plugins", "doctor", PYTHONPATH=str(site))
    assert plain.code == 1
    assert "acme-broken: cannot be imported: RuntimeError: no such luck" in plain.out
    assert "Traceback" not in plain.out + plain.err
    traced = shell("plugins", "doctor", "--trace", PYTHONPATH=str(site))
    assert "Traceback" in traced.out
    assert "raise RuntimeError('no such luck')" in traced.out


def test_doctor_is_content_when_nothing_is_broken(shell, install):
    site = install("acme-good", GOOD)
    outcome = shell("plugins", "doctor", PYTHONPATH=str(site))
    assert outcome.code == 0
    assert re.search(r"^acme-good .* ok +\d+ ms +1 steps?, 1 models?$", outcome.out, re.MULTILINE)


def test_a_summary_is_text_and_no_markup_on_a_terminal(run_on_terminal, monkeypatch):
    info = PluginInfo("acme", "1", "acme", summary="drops [red]weak[/red] tokens\x1b[2J")
    monkeypatch.setattr("decodery.host.registry.discover", lambda selection: [info])
    assert "drops [red]weak[/red] tokens\u241b[2J" in run_on_terminal("plugins", "list").out


def test_a_list_is_legible_where_the_terminal_says_it_has_one_column(run_on_terminal, monkeypatch):
    info = PluginInfo("acme", "1.2.3", "acme", summary="one two three four five six seven eight nine ten")
    monkeypatch.setattr("decodery.host.registry.discover", lambda selection: [info])
    monkeypatch.setenv("COLUMNS", "1")
    lines = run_on_terminal("plugins", "list").out.splitlines()
    assert all(line.strip() for line in lines)
    assert any(line.startswith("acme ") and "1.2.3" in line for line in lines)


@pytest.mark.parametrize("level", [logging.NOTSET, logging.INFO, logging.CRITICAL])
def test_doctor_leaves_the_logger_as_it_was(level, run, monkeypatch, tmp_path):
    (tmp_path / "acme_loud.py").write_text(
        "import logging\nlogging.getLogger('decodery').setLevel(1)\n1 / 0\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    info = PluginInfo("acme-loud", "1", "acme_loud")
    monkeypatch.setattr("decodery.host.registry.discover", lambda selection: [info])
    log = logging.getLogger("decodery")
    before = log.level
    try:
        log.setLevel(level)
        assert run("plugins", "doctor").code == 1
        assert log.level == level
    finally:
        log.setLevel(before)


def test_no_plugin_leaves_one_out_of_any_command(shell, install):
    site = install("acme-good", GOOD)
    install("acme-loud", "raise RuntimeError('imported')")
    listed = shell("--no-plugin", "Acme_Good", "plugins", "list", PYTHONPATH=str(site)).out
    assert re.search(r"^acme-good .* disabled", listed, re.MULTILINE)
    assert re.search(r"^acme-loud .* installed", listed, re.MULTILINE)
    both = ("--no-plugin", "acme-good", "--no-plugin", "acme-loud")
    outcome = shell(*both, "plugins", "doctor", PYTHONPATH=str(site))
    assert outcome.code == 0
    assert "imported" not in outcome.out + outcome.err
    outcome = shell(*both, "plugins", "show", "top_acme", PYTHONPATH=str(site))
    assert outcome.code == 1
    assert "or one that is switched off: acme-good, acme-loud" in outcome.err


def test_no_plugin_refuses_a_name_that_is_not_installed(run, monkeypatch):
    monkeypatch.setattr(
        "decodery.host.registry.discover", lambda selection: [PluginInfo("acme-good", "1", "a")]
    )
    outcome = run("--no-plugin", "acme-goof", "plugins", "list")
    assert (outcome.code, outcome.out) == (2, "")
    assert "--no-plugin acme-goof: no such plugin is installed; did you mean 'acme-good'?" in outcome.err


@pytest.mark.parametrize("before", [None, "", "acme-good,other"])
def test_no_plugin_leaves_the_environment_as_it_was(before, run, monkeypatch):
    monkeypatch.setattr(
        "decodery.host.registry.discover", lambda selection: [PluginInfo("acme-good", "1", "a")]
    )
    if before is not None:
        monkeypatch.setenv("DECODERY_PLUGINS", before)
    assert run("--no-plugin", "acme-good", "plugins", "list").code == 0
    assert os.environ.get("DECODERY_PLUGINS") == before


def test_show_of_a_plugin_tells_state_module_and_where_the_code_is(shell, install):
    site = install("acme-good", GOOD)
    install("acme-twin", GOOD)
    out = shell("plugins", "show", "acme-good", PYTHONPATH=str(site)).out
    assert "acme-good 1.2.3  (conflict)" in out
    assert re.search(r"module acme_good, imported in \d+ ms", out)
    assert re.search(r"source: \S+this\.py$", out, re.MULTILINE)
    assert "acme-good: top_acme also in acme-twin; tiny also in acme-twin" in out
    data = json.loads(shell("plugins", "show", "acme-good", "--json", PYTHONPATH=str(site)).out)
    assert (data["state"], data["module"], data["import_seconds"] > 0) == ("conflict", "acme_good", True)
    assert data["conflicts"] == ["top_acme also in acme-twin", "tiny also in acme-twin"]
    assert data["provides"]["steps"][0]["factory"] == "this:TopA"


def test_show_suggests_a_plugin_and_names_a_broken_one(shell, install):
    site = install("acme-broken", BROKEN)
    said = shell("plugins", "show", "decodery-dem", PYTHONPATH=str(site)).err
    assert "did you mean 'decodery-demo'?" in said
    said = shell("plugins", "show", "xyzzy", PYTHONPATH=str(site)).err
    assert "or a broken plugin provides it: acme-broken (see 'decodery plugins doctor')" in said
