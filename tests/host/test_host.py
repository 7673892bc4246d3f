"""The host finds what is installed by metadata, imports only what is asked for, and survives what is broken."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from decodery.contracts.errors import AmbiguousName, UnknownName
from decodery.contracts.specs import StepSpec
from decodery.host.registry import Host
from decodery.host.selection import is_enabled

PLUGIN = """
import sys
from decodery import hookimpl
from decodery.contracts.specs import StepSpec

@hookimpl
def provide_steps():
    return [StepSpec({name!r}, "processor", "json:loads")]
"""
BROKEN = {
    "import-error": "import no_such_module",
    "system-exit": "raise SystemExit(3)",
    "syntax-error": "def (",
    "raising-hook": "from decodery import hookimpl\n@hookimpl\ndef provide_steps():\n    raise OSError('disk')",
    "not-a-list": "from decodery import hookimpl\n@hookimpl\ndef provide_steps():\n    return {'a': 1}",
    "wrong-records": "from decodery import hookimpl\n@hookimpl\ndef provide_steps():\n    return ['top_p']",
    "wrong-signature": "from decodery import hookimpl\n@hookimpl\ndef provide_steps(registry):\n    return []",
    "twice": PLUGIN.format(name="same").replace("]", ", StepSpec('same', 'stop', 'a:b')]"),
    "bad-name": PLUGIN.format(name="Top P"),
    "wrong-trait": PLUGIN.format(name="x").replace('loads"', 'loads", traits=frozenset({"magic"})'),
}


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder on sys.path, where packages can be put as pip would."""
    monkeypatch.setenv("DECODERY_PLUGINS", ",".join(f"-{info.id}" for info in Host().installed()))
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    return tmp_path


def install(site: Path, name: str, code: str, version: str = "1.0") -> None:
    module = "plant_" + name.replace("-", "_")
    (site / f"{module}.py").write_text(code)
    info = site / f"{module}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nSummary: planted\n"
    )
    (info / "entry_points.txt").write_text(f"[decodery]\nplugin = {module}\n")
    sys.modules.pop(module, None)


def test_listing_imports_nothing(site: Path) -> None:
    install(site, "loud", "raise RuntimeError('imported')")
    listed = {info.id: info for info in Host().installed()}
    assert (listed["loud"].version, listed["loud"].summary) == ("1.0", "planted")
    assert "plant_loud" not in sys.modules


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_plugin_is_reported_and_the_others_serve(
    kind: str, site: Path, caplog: pytest.LogCaptureFixture
) -> None:
    install(site, "broken", BROKEN[kind])
    install(site, "good", PLUGIN.format(name="top_x"))
    host = Host()
    assert host.step("top_x")[0] == "good/top_x"
    reports = {report.info.id: report for report in host.doctor()}
    assert (reports["broken"].state, reports["good"].state, reports["decodery"].state) == (
        "broken",
        "ok",
        "ok",
    )
    assert reports["broken"].trace
    lines = [record.getMessage() for record in caplog.records if "broken" in record.getMessage()]
    assert len(lines) == 1
    assert "\n" not in lines[0]
    with pytest.raises(UnknownName, match="broken plugin provides it: broken"):
        host.step("top_y")


def test_built_in_names_import_no_plugin_and_cannot_be_shadowed(site: Path) -> None:
    install(site, "shadow", PLUGIN.format(name="top_p"))
    host = Host()
    assert host.step("top_p")[1].factory != "json:loads"
    assert host.step("TopPLogitsWarper")[0] == "top_p"
    assert "plant_shadow" not in sys.modules
    assert host.step("shadow/top_p")[1].factory == "json:loads"
    reports = {report.info.id: report for report in host.doctor()}
    assert reports["shadow"].state == "conflict"
    assert "top_p also in decodery" in reports["shadow"].problem


def test_a_qualified_name_imports_that_plugin_alone(site: Path) -> None:
    install(site, "one", PLUGIN.format(name="top_x"))
    install(site, "two", PLUGIN.format(name="top_x"))
    host = Host()
    assert host.step("One/top_x")[0] == "one/top_x"
    assert "plant_two" not in sys.modules
    with pytest.raises(AmbiguousName, match="one/top_x, two/top_x"):
        host.step("top_x")
    with pytest.raises(UnknownName, match="no plugin 'three'"):
        host.step("three/top_x")
    with pytest.raises(UnknownName, match="provides no step 'top_z'"):
        host.step("one/top_z")


def test_a_misspelt_name_finds_the_plugin_that_has_it(site: Path) -> None:
    install(site, "acme", PLUGIN.format(name="tiny_top"))
    with pytest.raises(UnknownName, match="did you mean 'acme/tiny_top'"):
        Host().step("tinny_top")


def test_a_package_without_a_name_is_passed_over(site: Path, caplog: pytest.LogCaptureFixture) -> None:
    install(site, "good", PLUGIN.format(name="top_x"))
    install(site, "husk", PLUGIN.format(name="top_y"))
    (site / "plant_husk-1.0.dist-info" / "METADATA").unlink()
    assert [info.id for info in Host().installed() if info.enabled] == ["good"]
    assert "without a name" in caplog.text


@pytest.mark.parametrize(
    ("selection", "enabled"),
    [
        (None, {"a", "b", "c-d"}),
        ("", set()),
        ("a,C.D", {"a", "c-d"}),
        ("-a", {"b", "c-d"}),
        ("a,-a", set()),
        (" b , ", {"b"}),
    ],
)
def test_decodery_plugins_says_who_may_come(selection: str | None, enabled: set[str]) -> None:
    assert {name for name in ("a", "b", "c-d") if is_enabled(name, selection)} == enabled


def test_a_plugin_that_is_switched_off_is_not_imported(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(site, "loud", "raise RuntimeError('imported')")
    monkeypatch.setenv("DECODERY_PLUGINS", f"-loud,{os.environ['DECODERY_PLUGINS']}")
    host = Host()
    with pytest.raises(UnknownName, match="switched off"):
        host.step("loud/top_x")
    with pytest.raises(UnknownName, match="did you mean 'top_p'"):
        host.step("top_pp")
    assert {report.info.id: report.state for report in host.doctor()}["loud"] == "disabled"
    assert "plant_loud" not in sys.modules


def test_all_built_in_steps_are_found_by_name_and_alias() -> None:
    host = Host("")
    for spec in host.builtin(StepSpec):
        for name in (spec.name, *spec.aliases):
            assert host.step(name) == (spec.name, spec)
