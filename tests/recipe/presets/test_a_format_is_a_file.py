"""Adding a format is adding a file."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from decodery.contracts.errors import UnknownName
from decodery.recipe import foreign, presets

TOY = """
from decodery.recipe.presets.common.format import Format
from decodery.recipe.presets.common.given import Given
from decodery.recipe.presets.common.keys import NUMBER, Key, Knob
from decodery.recipe.presets.common.reading import Reading
from decodery.recipe.presets.common.writing import Writing
from decodery.recipe.report import Problems, Span

HEAT = Knob("temperature", (Key("heat", "temperature", NUMBER),), lambda heat: heat == 1)


def read(text, source, host):
    key, _, value = text.strip().partition("=")
    reading = Reading("Toy", source, [Given(key, float(value), Span(source, 1, 1))], host, Problems())
    reading.strategy("sample")
    reading.knob(HEAT)
    reading.step("eos", {}, {})
    reading.rest({})
    return reading.finish()


def write(recipe):
    writing = Writing("Toy", recipe)
    writing.processors((HEAT,))
    return writing.finish(f"heat={writing.keys['heat']}\\n")


FORMAT = Format("toy", "heat=0.7", read, write)
"""


def test_a_module_in_the_folder_is_a_format(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "toy.py").write_text(TOY)
    monkeypatch.setattr(presets, "__path__", [*presets.__path__, str(tmp_path)])
    assert "toy" in foreign.formats()
    found = foreign.loads("heat=0.7", "toy")
    assert [step.qualified for step in found.recipe.processors] == ["temperature"]
    assert foreign.dumps(found.recipe, "toy").text == "heat=0.7\n"
    assert foreign.loads("warmth=0.7", "toy").carried[0].status == "dropped"
    monkeypatch.delitem(sys.modules, f"{presets.__name__}.toy")


def test_the_formats_are_those_of_the_folder() -> None:
    assert sorted(foreign.formats()) == ["hf", "llama.cpp", "openai", "tgw", "vllm"]
    assert [name for name, form in foreign.formats().items() if form.write is None] == ["tgw"]


@pytest.mark.parametrize(
    ("word", "name"),
    [("transformers", "hf"), ("text-generation-webui", "tgw"), ("LlamaCpp", "llama.cpp"), ("vlm", "vllm")],
)
def test_what_people_call_a_format_leads_to_its_name(word: str, name: str) -> None:
    with pytest.raises(UnknownName, match=f"did you mean '{name}'"):
        foreign.loads("{}", word)


def test_a_format_that_is_read_alone_says_so_where_it_is_to_be_written() -> None:
    with pytest.raises(UnknownName, match=r"'tgw' is read, and not written\n.*hf, llama.cpp, openai, vllm"):
        foreign.dumps(foreign.loads("{}", "hf").recipe, "tgw")
