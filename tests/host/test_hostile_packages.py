"""Twenty-one hostile packages and a good one, built as wheels and installed by pip into one place: each is reported by
its name, none harms another, and listing them imports none."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from hostile import MENDED, PACKAGES, STATES, STEPS, TOLD

pytest.importorskip("hatchling", reason="builds wheels without the network")

BUILD = """
import os, sys
from hatchling.build import build_wheel
for folder in sys.argv[2:]:
    os.chdir(folder)
    build_wheel(sys.argv[1])
"""
PROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "{name}"
version = "1.0"
dependencies = {requires}

[project.entry-points.decodery]
{name} = "{package}.plugin"
"""
# In a checkout whose metadata is older than this entry point, pytest is told.
KNOWN = any(point.value == "decodery.testing.pytest_plugin" for point in entry_points(group="pytest11"))
Shell = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where pip put them all."""
    sources, wheels = tmp_path_factory.mktemp("sources"), tmp_path_factory.mktemp("wheels")
    for package, (code, requires) in PACKAGES.items():
        folder = sources / package
        (folder / package).mkdir(parents=True)
        project = PROJECT.format(
            name=package.replace("_", "-"), package=package, requires=json.dumps(requires)
        )
        (folder / "pyproject.toml").write_text(project)
        for name, text in {"__init__": "", "plugin": code, "steps": STEPS}.items():
            (folder / package / f"{name}.py").write_text(text)
    folders = [str(path) for path in sorted(sources.iterdir())]
    subprocess.run([sys.executable, "-c", BUILD, str(wheels), *folders], check=True, capture_output=True)
    target = tmp_path_factory.mktemp("site")
    quiet = ("--quiet", "--no-index", "--no-deps", "--no-compile", "--disable-pip-version-check")
    command = [sys.executable, "-m", "pip", "install", *quiet, "--target", str(target)]
    subprocess.run([*command, *map(str, wheels.glob("*.whl"))], check=True, capture_output=True)
    assert len(list(target.glob("hx_*.dist-info"))) == len(PACKAGES)
    return target


@pytest.fixture
def shell(site: Path, tmp_path: Path) -> Shell:
    """A process of its own, among them."""

    def shell(*arguments: str) -> subprocess.CompletedProcess[str]:
        paths = (str(site), os.environ.get("PYTHONPATH"))
        environment = {name: value for name, value in os.environ.items() if name != "DECODERY_PLUGINS"}
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
        command = [sys.executable, *arguments]
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=120
        )

    return shell


LIST = """
import sys
from decodery.cli.app import main
code = main(["plugins", "list", "--json"])
print([name for name in sys.modules if name.startswith("hx_")], "torch" in sys.modules, file=sys.stderr)
sys.exit(code)
"""


def test_a_list_names_them_all_and_imports_none(shell: Shell) -> None:
    done = shell("-c", LIST)
    assert (done.returncode, done.stderr) == (0, "[] False\n")
    assert set(STATES) <= {row["plugin"] for row in json.loads(done.stdout)}


def test_the_doctor_reports_each_by_name_with_what_would_mend_it(shell: Shell) -> None:
    done = shell("-m", "decodery", "plugins", "doctor", "--json", "--trace")
    assert done.returncode == 1
    rows = {row["plugin"]: row for row in json.loads(done.stdout)}
    assert {name: rows[name]["state"] for name in STATES} == STATES
    assert rows["decodery"]["state"] == "ok"
    for name, words in TOLD.items():
        assert words in rows[name]["problem"], name
    for name, words in MENDED.items():
        assert words in rows[name]["remedy"], name
    for name, state in STATES.items():
        assert bool(rows[name]["remedy"]) == (state != "ok" or name == "hx-wrong-api"), name
        assert ("Traceback" in rows[name]["trace"]) == (state == "broken" and name != "hx-nowhere"), name
    assert any(note.startswith("slow: ") for note in rows["hx-slow"]["notes"])
    assert any("which imports torch" in note for note in rows["hx-torch"]["notes"])
    assert "needs decodery>=9 (0.1.0 is installed)" in rows["hx-wrong-api"]["notes"]
    assert "hello" not in done.stdout


USE = """
import torch
from decodery import DecoderyError, Pipeline

ids, scores = torch.tensor([[1, 2]]), torch.tensor([[4.0, 2.0, 1.0]])
print((Pipeline().add("hx-good/halves")(ids, scores) == scores / 2).all().item())
print((Pipeline().add("top_p", 0.9)(ids, scores) == scores).sum().item())
mutated = Pipeline().add("hx-mutates/writes").add("temperature", 2.0)(ids, scores)
print(mutated.tolist(), ids.tolist(), scores.tolist())
for name in ("hx-raising-factory/unlicensed", "hx-nan/nan", "hx-shrinks/shrinks", "hx-fails/fails", "lost", "halves",
             "hx-import-error/any", "hx-god/halves"):
    try:
        Pipeline().add(name).pick(ids, scores)
    except DecoderyError as error:
        print(type(error).__name__, str(error).replace(chr(10), " | "))
"""


def test_the_good_one_works_among_them_and_the_bad_are_blamed_by_name_at_use(shell: Shell) -> None:
    done = shell("-c", USE)
    assert done.returncode == 0, done.stderr
    good, box, mutated, *told = done.stdout.splitlines()
    assert (good, box) == ("True", "2")
    # It was shown copies: the caller's tensors are as they were.
    assert mutated == "[[0.0, 0.0, 0.0]] [[1, 2]] [[4.0, 2.0, 1.0]]"
    expected = [
        ("PluginError", "step 'hx-raising-factory/unlicensed' cannot be built: OSError: no licence file"),
        ("BadRow", "NaN scores after 'hx-nan/nan'"),
        ("PluginError", "processor 'hx-shrinks/shrinks' turned scores of shape (1, 3) into (1, 2)"),
        (
            "PluginError",
            "processor 'hx-fails/fails' failed on ids (1, 2), scores (1, 3): KeyError: 'weights'",
        ),
        ("PluginError", "step 'hx-nowhere/lost': 'hx_nowhere.elsewhere:Lost' cannot be imported"),
        ("AmbiguousName", "hx-duplicate/halves, hx-good/halves"),
        ("UnknownName", "it is broken, and might otherwise: cannot be imported: RuntimeError: no such luck"),
        ("UnknownName", "did you mean 'hx-good/halves'?"),
    ]
    assert len(told) == len(expected)
    for line, (kind, words) in zip(told, expected, strict=True):
        assert line.startswith(kind), line
        assert words in line


def test_each_broken_one_is_one_line_on_stderr_and_nothing_on_stdout(shell: Shell) -> None:
    done = shell("-c", "from decodery.host.registry import Host; Host().step('lost')")
    lines = [line for line in done.stderr.splitlines() if line.startswith("decodery: plugin ")]
    broken = [name for name, state in STATES.items() if state == "broken" and name != "hx-nowhere"]
    assert sorted(line.split()[2] for line in lines) == sorted(broken)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.slow  # a process each
@pytest.mark.parametrize("name", ["hx-nan", "hx-mutates", "hx-raising-factory", "hx-shrinks", "hx-nowhere"])
def test_the_kit_finds_what_the_doctor_cannot_see(name: str, shell: Shell) -> None:
    load = () if KNOWN else ("-p", "decodery.testing.pytest_plugin")
    quiet = ("-q", "-p", "no:cacheprovider", "-p", "no:hypothesispytest", "--tb=line")
    done = shell("-m", "pytest", *load, *quiet, "--decodery-conformance", name)
    assert done.returncode == 1, done.stdout
    assert f"FAILED {name}/" in done.stdout
