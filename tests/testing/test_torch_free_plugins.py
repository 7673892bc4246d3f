"""`imports_without_torch`, on packages laid out on the disk as pip would."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from decodery.contracts.specs import StepSpec
from decodery.testing import checks_for

CLEAN = "from decodery import hookimpl\n"
PARAMS = "from decodery.contracts.params import Probability, params\n\n@params\nclass Top:\n    p: Probability = 0.5\n"
STEPS = "import torch\n\nclass Top:\n    def __call__(self, ids, scores):\n        return scores\n"

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Writes a package with its entry point (None: a package that nobody installed) and puts it on the path."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def install(package: str, point: str | None = "plugin", **modules: str) -> None:
        home = tmp_path.joinpath(*package.split("."))
        home.mkdir(parents=True)
        for name, text in {"__init__": "", **modules}.items():
            (home / f"{name}.py").write_text(text)
        if point is not None:
            distribution = package.replace(".", "_")
            record = tmp_path / f"{distribution}-1.0.dist-info"
            record.mkdir()
            (record / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
            (record / "entry_points.txt").write_text(f"[decodery]\n{package} = {package}.{point}\n")

    yield install
    for name in [name for name in sys.modules if name.split(".")[0].startswith("acme")]:
        del sys.modules[name]


def verdict(factory: str, params: str = "") -> str:
    """What the check says of a step; "" when it passes."""
    module, _, name = params.partition(":")
    kind = getattr(importlib.import_module(module), name) if params else None
    spec = StepSpec("top", "processor", factory, params=kind)
    (check,) = [check for check in checks_for(spec) if check.name == "imports_without_torch"]
    try:
        check(spec)
    except AssertionError as error:
        return str(error)
    return ""


def test_a_plugin_without_torch_passes(install: Install) -> None:
    install("acme_clean", plugin=CLEAN, params=PARAMS, steps=STEPS)
    assert verdict("acme_clean.steps:Top", "acme_clean.params:Top") == ""


def test_a_plugin_that_imports_torch_is_caught(install: Install) -> None:
    install("acme_heavy", plugin=CLEAN + "import torch\n", steps=STEPS)
    said = verdict("acme_heavy.steps:Top")
    assert "processor 'top'" in said
    assert "acme_heavy.plugin: importing that imports torch" in said
    assert "= help: import torch only in" in said


def test_a_plugin_that_could_do_without_torch_and_imports_it_is_caught(install: Install) -> None:
    guarded = "try:\n    import torch.nn\nexcept ImportError:\n    torch = None\n"
    install("acme_guarded", plugin=CLEAN + guarded, steps=STEPS)
    assert "imports torch" in verdict("acme_guarded.steps:Top")


def test_params_beside_the_code_are_caught(install: Install) -> None:
    install("acme_beside", plugin=CLEAN, steps="import torch\n" + PARAMS)
    assert "imports torch" in verdict("acme_beside.steps:Top", "acme_beside.steps:Top")


def test_a_plugin_that_cannot_be_imported_is_caught(install: Install) -> None:
    install("acme_broken", plugin="raise RuntimeError('no such luck')", steps=STEPS)
    assert "fails: RuntimeError: no such luck" in verdict("acme_broken.steps:Top")


def test_a_plugin_that_exits_is_caught(install: Install) -> None:
    install("acme_exits", plugin="import sys; sys.exit(0)", steps=STEPS)
    assert "fails: it ends the interpreter with code 0" in verdict("acme_exits.steps:Top")


def test_a_neighbour_that_imports_torch_is_not_blamed_on_it(install: Install) -> None:
    install("acme_ours", plugin=CLEAN, steps=STEPS)
    install("acme_other", plugin="import torch\n")
    assert verdict("acme_ours.steps:Top") == ""


def test_a_package_that_is_not_installed_is_asked_all_the_same(install: Install) -> None:
    install("acme_loose", None, steps=STEPS, __init__="import torch\n")
    assert "imports torch" in verdict("acme_loose.steps:Top")
