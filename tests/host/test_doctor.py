"""What the doctor says of a plugin, and the line that would mend it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from decodery.host.doctor import PluginReport
from decodery.host.loader import PluginInfo
from decodery.host.registry import Host

STEPS = """
from decodery import hookimpl
from decodery.contracts.specs import StepSpec, StrategySpec

@hookimpl
def provide_steps():
    return [{}]
"""
GOOD = STEPS.format("StepSpec('top_x', 'processor', 'json:loads')")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def report(site: Path, code: str, *requires: str, others: str = "") -> PluginReport:
    plugins = []
    for name, text in (("ill", code), ("other", others)):
        (site / f"doctored_{name}.py").write_text(text)
        sys.modules.pop(f"doctored_{name}", None)
        plugins.append(
            PluginInfo(name, "1.0", f"doctored_{name}", requires=requires if name == "ill" else ())
        )
    return next(each for each in Host(plugins=plugins).doctor() if each.info.id == "ill")


def test_a_sound_plugin_needs_nothing(site: Path) -> None:
    found = report(site, GOOD, "decodery>=0.1", "pluggy", "absent-one; extra == 'all'")
    assert (found.state, found.problem, found.remedy, found.notes) == ("ok", "", "", ())
    assert found.provides == {"provide_steps": ["top_x"]}
    assert found.import_seconds > 0


@pytest.mark.parametrize(
    ("code", "requires", "remedy"),
    [
        ("import absent_one", ["absent-one>=2"], "pip install 'absent-one>=2'"),
        ("import absent_one", ["absent-one", "pluggy>=99,<100"], "pip install absent-one 'pluggy<100,>=99'"),
        ("import absent_one", [], "ill does not say which package has the module 'absent_one'"),
        ("import doctored_ill.parts", [], "pip install --force-reinstall ill"),
        ("from decodery.contracts.samplers import X", [], "pip install --upgrade ill"),
        ("from decodery.contracts.specs import SamplerSpec", [], "another decodery than 0.1.0"),
        ("1 / 0", [], "pip install --upgrade ill, if there is a newer one than 1.0"),
        (GOOD.replace("provide_steps", "provide_samplers"), [], "'--no-plugin ill' goes on without it"),
        (GOOD, ["decodery>=9"], "pip install 'decodery>=9'"),
        ("import json.no_such_part", [], "another version of the package that has 'json'"),
        (STEPS.format("StepSpec('top_x', 'stop', 'no_such:x')"), [], "pip install --force-reinstall"),
        (STEPS.format("StepSpec('top_p', 'stop', 'json:loads')"), [], "with its plugin's prefix"),
    ],
)
def test_the_remedy_fits_the_ill(code: str, requires: list[str], remedy: str, site: Path) -> None:
    assert remedy in report(site, code, *requires).remedy


def test_a_requirement_that_is_not_met_is_noted_though_all_works(site: Path) -> None:
    found = report(site, GOOD, "decodery>=9", "absent-one")
    assert (found.state, found.problem) == ("ok", "")
    assert found.notes == (
        "needs decodery>=9 (0.1.0 is installed)",
        "needs absent-one (not installed)",
    )


def test_a_pointer_to_nowhere_is_told_without_an_import(site: Path) -> None:
    found = report(site, STEPS.format("StepSpec('top_x', 'processor', 'no_such.place:X')"))
    assert (found.state, found.problem) == (
        "broken",
        "top_x: there is no 'no_such.place:X', its factory",
    )


def test_an_alias_in_common_is_a_conflict(site: Path) -> None:
    mine = STEPS.format("StepSpec('mine', 'processor', 'json:loads', aliases=('top_x',))")
    found = report(site, mine, others=GOOD)
    assert (found.state, found.conflicts) == ("conflict", ("top_x also in other",))


def test_an_import_that_takes_long_is_noted(site: Path) -> None:
    found = report(site, "import time\ntime.sleep(0.6)\n" + GOOD)
    assert found.state == "ok"
    assert found.notes[0].startswith("slow: 0.")
    assert "doctored_ill" in found.notes[0]


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ("StepSpec('x', 'sampler', 'json:loads')", "role = 'sampler'; it is 'processor' or 'stop'"),
        ("StepSpec('x', 'stop', 'json.loads')", "factory = 'json.loads'; write 'package.module:attribute'"),
        ("StepSpec('x', 'stop', 3)", "factory is int"),
        ("StepSpec('x', 'stop', None)", "factory is NoneType"),
        ("StepSpec('x', 'stop', 'json:loads', params=dict)", "no class that @params made"),
        ("StepSpec('x', 'stop', 'json:loads', traits={'ragged'})", "traits is set; it is a frozenset"),
        ("StepSpec('x', 'stop', 'json:loads', aliases='abc')", "aliases is str; it is a tuple"),
        ("StepSpec('x', 'stop', 'json:loads', lowering=4)", "lowering is int"),
        ("StepSpec('x', 'stop', 'json:loads', detector=4)", "detector is int"),
        ("StepSpec('x', 'stop', 'json:loads', keywords='abc')", "keywords is str; it is a tuple"),
        ("StepSpec(4, 'stop', 'json:loads')", "4 is no name, but int"),
        ("StepSpec('x', 'stop', 'json:loads', summary=None)", "summary is NoneType; it is a str"),
        ("StrategySpec('x', 'json:loads')", "one of its items is StrategySpec"),
    ],
)
def test_a_record_with_a_wrong_field_is_told_at_once(record: str, words: str, site: Path) -> None:
    found = report(site, STEPS.format(record))
    assert found.state == "broken"
    assert words in found.problem


def test_what_a_plugin_prints_at_import_does_not_reach_stdout(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report(site, "print('hello')\n" + GOOD).state == "ok"
    assert capsys.readouterr() == ("", "hello\n")
