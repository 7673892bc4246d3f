"""`pytest --decodery-conformance`, the fixture, the count of checks, and what pytest does not import for them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

# In a checkout whose metadata is older than this entry point, pytest is told.
KNOWN = any(point.value == "decodery.testing.pytest_plugin" for point in entry_points(group="pytest11"))
LOAD = () if KNOWN else ("-p", "decodery.testing.pytest_plugin")

PLUGIN = """
from decodery import hookimpl
from decodery.contracts.specs import StepSpec, StrategySpec

@hookimpl
def provide_steps():
    return [StepSpec("halves", "processor", "acme_kit.steps:Halves", traits=frozenset({"stateless"})),
            StepSpec("revives", "processor", "acme_kit.steps:Revives", traits=frozenset({"stateless"}))]

@hookimpl
def provide_strategies():
    return [StrategySpec("best", "acme_kit.steps:Best", draw="argmax")]
"""
STEPS = """
class Halves:
    def __call__(self, ids, scores):
        return scores / 2

class Revives:
    def __call__(self, ids, scores):
        return scores.clamp(min=-1e4)

class Best:
    def choose(self, scores, rng):
        return scores.argmax(-1)
"""


@pytest.fixture
def site(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Path:
    """acme-kit, laid out as pip would."""
    site = pytester.mkdir("site")
    for name, text in {"__init__": "", "plugin": PLUGIN, "steps": STEPS}.items():
        (site / "acme_kit").mkdir(exist_ok=True)
        (site / "acme_kit" / f"{name}.py").write_text(text)
    info = site / "acme_kit-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-kit\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[decodery]\nacme-kit = acme_kit.plugin\n")
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setenv("PYTHONPATH", str(site), prepend=os.pathsep)
    yield site
    for name in [name for name in sys.modules if name.split(".")[0] == "acme_kit"]:
        del sys.modules[name]


def run(pytester: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    quiet = ("-q", "-p", "no:cacheprovider", "-p", "no:hypothesispytest")
    return pytester.runpytest_inprocess(*LOAD, *quiet, *arguments)


def test_every_record_of_the_plugin_is_tried_and_counted(site: Path, pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_of_this_folder(): assert False")
    result = run(pytester, "--decodery-conformance", "Acme_Kit")
    outcomes = result.parseoutcomes()
    assert outcomes["failed"] == 1
    result.stdout.fnmatch_lines(["*processor 'revives' gave a banned token a score*"])
    result.stdout.no_fnmatch_line("*test_of_this_folder*")
    [line] = [line for line in result.outlines if line.startswith("decodery: ")]
    match = re.fullmatch(
        r"decodery: (\d+) checks of 3 records ran: halves (\d+), revives (\d+), best (\d+)", line
    )
    assert match
    counts = [int(number) for number in match.groups()]
    assert counts[0] == sum(counts[1:]) == outcomes["passed"] + 1
    assert min(counts[1:]) > 10


@pytest.mark.slow
def test_the_checks_of_several_packages_are_counted_apart(site: Path, pytester: pytest.Pytester) -> None:
    result = run(pytester, "--decodery-conformance", "acme-kit", "--decodery-conformance", "decodery-demo")
    lines = [line for line in result.outlines if line.startswith("decodery: ")]
    whose = [re.match(r"decodery: \d+ checks of \d+ records of (\S+) ran: ", line) for line in lines]
    assert [match and match.group(1) for match in whose] == ["acme-kit", "decodery-demo"]


def test_an_expected_failure_is_named_in_the_ini_file(site: Path, pytester: pytest.Pytester) -> None:
    pytester.makeini(
        "[pytest]\ndecodery_expected_failures =\n  revives.never_revives_a_banned_token: it is its purpose"
    )
    outcomes = run(pytester, "--decodery-conformance", "acme-kit").parseoutcomes()
    assert (outcomes["xfailed"], "failed" in outcomes) == (1, False)


def test_paths_are_run_as_well_when_they_are_given(site: Path, pytester: pytest.Pytester) -> None:
    path = pytester.makepyfile("def test_of_this_folder(): pass")
    result = run(pytester, "--decodery-conformance", "acme-kit", "-k", "test_of_this or halves.builds", path)
    result.assert_outcomes(passed=2, deselected=result.parseoutcomes()["deselected"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["--decodery-conformance", "acme-kid"],
            "no plugin 'acme-kid' is installed; did you mean 'acme-kit'?",
        ),
        (["-o", "decodery_neutral=halves", "--decodery-conformance", "acme-kit"], "'halves' has no colon"),
        (["-o", "decodery_samples=halves: {a: 1}", "--decodery-conformance", "acme-kit"], "write 'name: {"),
        (
            ["-o", "decodery_expected_failures=haves.builds: x", "--decodery-conformance", "acme-kit"],
            "did you mean",
        ),
    ],
)
def test_a_mistake_is_told_and_nothing_is_run(
    arguments: list[str], words: str, site: Path, pytester: pytest.Pytester
) -> None:
    result = run(pytester, *arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert words in result.stderr.str() + result.stdout.str()


def test_a_broken_plugin_is_told(site: Path, pytester: pytest.Pytester) -> None:
    (site / "acme_kit" / "plugin.py").write_text("1 / 0")
    result = run(pytester, "--decodery-conformance", "acme-kit")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "acme-kit cannot be imported: ZeroDivisionError" in result.stderr.str()


def test_the_fixture_gives_an_isolated_host(site: Path, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import os
        from decodery.host.registry import Host

        def test_it(decodery_host):
            assert decodery_host("acme-kit").step("halves")[0] == "acme-kit/halves"
            assert not any(info.enabled for info in Host().installed())
        """
    )
    run(pytester).assert_outcomes(passed=1)


def test_pytest_starts_without_torch_and_a_run_without_us_prints_nothing(tmp_path: Path) -> None:
    (tmp_path / "test_nothing.py").write_text(
        "import sys\n\ndef test_it():\n"
        "    assert 'decodery.testing.pytest_plugin' in sys.modules\n"
        "    assert not {'torch', 'pydantic', 'pluggy.x', 'decodery.host.loader'} & set(sys.modules)\n"
    )
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        *LOAD,
        "-p",
        "no:hypothesispytest",
        "-p",
        "no:cacheprovider",
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "decodery:" not in done.stdout
