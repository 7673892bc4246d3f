"""An isolated host sees the box and what it is given; whatever else is installed makes no difference."""

from __future__ import annotations

from pathlib import Path

import pytest
from honest_steps import HONEST, Draws

from decodery import Decoder, Pipeline
from decodery.contracts.errors import UnknownName
from decodery.contracts.specs import StrategySpec
from decodery.testing import UniformModel, isolated_host

pytest_plugins = ["pytester"]

PLUGIN = """
from decodery import hookimpl
from decodery.contracts.specs import StepSpec

@hookimpl
def provide_steps():
    return [StepSpec("top_x", "processor", "json:loads")]
"""


def test_records_are_found_under_one_name() -> None:
    host = isolated_host(HONEST["shift"])
    assert host.step("tried/tried")[1] is HONEST["shift"]
    assert host.step("tried")[0] == "tried/tried"
    assert host.step("top_p")[0] == "top_p"


def test_a_module_is_a_plugin_though_nobody_installed_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "acme_isolated.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("DECODERY_PLUGINS", "")
    assert isolated_host("acme_isolated").step("top_x")[0] == "acme-isolated/top_x"


def test_an_installed_plugin_comes_by_its_name_or_its_module_and_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DECODERY_PLUGINS", "-decodery-demo")
    for name in ("decodery-demo", "decodery_demo.plugin"):
        assert isolated_host(name).model("demo")[0] == "decodery-demo/demo"
    with pytest.raises(UnknownName):
        isolated_host().model("demo")


def test_a_pipeline_of_it_decodes() -> None:
    pipe = Pipeline(host=isolated_host(StrategySpec("draws", Draws, draw="categorical")))
    pipe = pipe.with_strategy("tried/draws", seed=1).stop("max_new_tokens", 4)
    assert len(Decoder(UniformModel(9), pipe, host=pipe.host).generate([[1]]).tokens[0]) == 4
