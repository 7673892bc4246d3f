"""Claims about the host that the suite did not hold it to."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from decodery.contracts.errors import PluginError, UnknownName
from decodery.contracts.specs import resolve
from decodery.host.loader import PluginInfo
from decodery.host.registry import Host

STEP = """
from decodery import hookimpl
from decodery.contracts.specs import AdapterSpec, StepSpec

@hookimpl
def provide_steps():
    return [StepSpec("top_x", "processor", "json:loads", aliases=("TopXLogitsWarper",))]
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder on sys.path."""
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    return tmp_path


def plugin(site: Path, name: str, code: str, attribute: str = "") -> PluginInfo:
    (site / f"hosted_{name}.py").write_text(code)
    sys.modules.pop(f"hosted_{name}", None)
    return PluginInfo(name, "1.0", f"hosted_{name}{attribute}")


def test_an_alias_of_a_plugins_step_is_a_name_of_it(site: Path) -> None:
    host = Host(plugins=[plugin(site, "good", STEP)])
    assert host.step("TopXLogitsWarper")[0] == host.step("good/TopXLogitsWarper")[0] == "good/top_x"


def test_an_entry_point_may_name_an_object_inside_its_module(site: Path) -> None:
    nested = "\nclass outer:\n    class hooks:\n        provide_steps = staticmethod(provide_steps)\n"
    host = Host(plugins=[plugin(site, "nested", STEP + nested + "\ndel provide_steps\n", ":outer.hooks")])
    assert host.step("nested/top_x")[0] == "nested/top_x"


def test_one_broken_hook_leaves_the_plugins_others(site: Path) -> None:
    raising = "\n@hookimpl\ndef provide_models():\n    raise OSError('disk')\n"
    host = Host(plugins=[plugin(site, "half", STEP + raising)])
    assert host.step("half/top_x")[0] == "half/top_x"
    assert {report.info.id: report.state for report in host.doctor()}["half"] == "broken"


def test_a_hook_that_exits_does_not_end_the_program(site: Path) -> None:
    exiting = "\n@hookimpl\ndef provide_models():\n    raise SystemExit(3)\n"
    assert Host(plugins=[plugin(site, "exit", STEP + exiting)]).step("exit/top_x")[0] == "exit/top_x"


def test_a_hook_of_a_name_that_there_is_not_is_a_broken_plugin(site: Path) -> None:
    host = Host(plugins=[plugin(site, "typo", STEP.replace("provide_steps", "provide_step"))])
    assert {report.info.id: report.state for report in host.doctor()}["typo"] == "broken"


def test_what_a_broken_plugin_cannot_provide_comes_with_its_problem(site: Path) -> None:
    host = Host(plugins=[plugin(site, "broken", "import no_such_module")])
    with pytest.raises(UnknownName, match="no_such_module"):
        host.step("broken/top_x")


def test_adapters_come_by_falling_priority(site: Path) -> None:
    mine = STEP + (
        "\n@hookimpl\ndef provide_adapters():\n"
        "    return [AdapterSpec('last', 'a:b', 'a:b', -10**6), AdapterSpec('first', 'a:b', 'a:b', 10**6)]\n"
    )
    adapters = Host(plugins=[plugin(site, "mine", mine)]).adapters()
    assert (adapters[0].name, adapters[-1].name) == ("first", "last")
    assert [spec.priority for spec in adapters] == sorted((spec.priority for spec in adapters), reverse=True)


def test_a_selection_of_none_is_a_selection(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DECODERY_PLUGINS", "decodery-demo")
    assert not any(info.enabled for info in Host("").installed())


def test_a_factory_whose_module_exits_is_named(site: Path) -> None:
    (site / "hosted_exit_at_import.py").write_text("raise SystemExit(3)")
    with pytest.raises(PluginError, match=r"step 'x'.*SystemExit"):
        resolve("hosted_exit_at_import:Thing", "step 'x'")
