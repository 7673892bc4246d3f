"""What is wrong with a foreign file is said at its place, all of it in one go, and nothing else ever comes out."""

from __future__ import annotations

import json

import pytest
from samplers_for_presets import ALONE, TOGETHER

from decodery.contracts.errors import RecipeError, UnknownName
from decodery.recipe import foreign
from decodery.recipe.recipe import Recipe


def problems_of(text: str | bytes, form: str) -> list[object]:
    with pytest.raises(RecipeError) as caught:
        foreign.loads(text, form, host=TOGETHER)
    assert len(str(caught.value).encode()) <= 4096
    return list(caught.value.problems)


@pytest.mark.parametrize(
    ("form", "text", "places"),
    [
        (
            "openai",
            '{\n "temperature": -1,\n "top_p": 2,\n "n": "3",\n "stop": [1]}',
            [(2, 2), (3, 2), (4, 2), (5, 2)],
        ),
        ("vllm", '{"top_k": 1.5, "logit_bias": {"x": 1}, "ignore_eos": 1}', [(1, 2), (1, 16), (1, 40)]),
        ("hf", '{"do_sample": true, "top_k": -3,\n "bad_words_ids": [3]}', [(1, 21), (2, 2)]),
        (
            "llama.cpp",
            "llama-cli --top-k many \\\n --min-p 2 -l 3 --temp",
            [(1, 11), (2, 2), (2, 12), (2, 17)],
        ),
        # These are asked for more than once: what comes behind a temperature of 0 has no effect.
        ("llama.cpp", "--temp abc --repeat-last-n x --dynatemp-range y", [(1, 1), (1, 12), (1, 30)]),
        ("tgw", "top_p: yes\nepsilon_cutoff: 10001\ntop_k: [1]\n", [(1, 1), (2, 1), (3, 1)]),
    ],
)
def test_all_mistakes_at_once_each_at_its_key(form: str, text: str, places: list[tuple[int, int]]) -> None:
    found = problems_of(text, form)
    assert [(problem.line, problem.column) for problem in found] == places  # type: ignore[attr-defined]
    assert all(problem.remedy for problem in found)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "begins otherwise"),
        ("[]", "begins otherwise"),
        ('{"a": 1} x', "after the object"),
        ('{"a": 1, "a": 2}', "occurs twice"),
        ('{"a": 1,}', "behind the comma"),
        ('{"a" 1}', "colon"),
        ('{"a": }', "expecting value"),
        ('{"a": 1 "b": 2}', "comma"),
        ("{a: 1}", "double quotes"),
        ('{"a": NaN}', "NaN"),
        ('{"temperature": 1e999}', "finite"),
        ('{"a": ' + "9" * 5000 + "}", "5000 digits"),
        ('{"a": ' + "[" * 100_000, "nested"),
        ('{"a": ' + "[" * 30 + "]" * 30 + "}", "24 levels"),
        ('{"a": [' + "1," * 30_000 + "1]}", "20,000"),
        ('{"stop": "\\ud800"}', "half of a character"),
        ('{"a": "' + "x" * 300_000 + '"}', "256 KiB"),
        (b'{"a": "\xff"}', "UTF-8"),
        ('{"a": "\x1b[31m"}', "U+001B"),
        ("{" + ",".join(f'"k{i}": 1' for i in range(1500)) + "}", "1,000 keys"),
    ],
)
@pytest.mark.parametrize("form", ["hf", "openai", "vllm"])
def test_json_that_is_no_request_is_refused(form: str, text: str | bytes, said: str) -> None:
    assert said in str(problems_of(text, form)[0])


def test_text_of_the_file_is_shown_escaped() -> None:
    text = '{"stop": 1, "\\u001b[31m\\u202e<script>": true, "temperature": "\\u001b[2J"}'
    with pytest.raises(RecipeError) as caught:
        foreign.loads(text, "openai")
    assert str(caught.value).replace("\n", "").isprintable()
    found = foreign.loads('{"\\u001b[31m\\u202e": "\\u0007"}', "openai")
    from decodery.recipe.presets.common.carried import lines

    assert all(line.isprintable() for line in lines(found.carried))


def test_a_step_of_that_name_with_other_parameters_is_dropped_with_the_reason() -> None:
    from acme_for_foreign import OTHER

    found = foreign.loads("--xtc-probability 0.5", "llama.cpp", host=OTHER)
    (line,) = [line for line in found.carried if line.key == "--xtc-probability"]
    assert line.status == "dropped"
    assert "'acme/xtc' has other parameters" in line.note
    assert "acme/xtc" not in [step.qualified for step in found.recipe.processors]


def test_of_two_plugins_with_that_name_decodery_samplers_is_meant() -> None:
    from acme_for_foreign import BOTH

    found = foreign.loads("--xtc-probability 0.5", "llama.cpp", host=BOTH)
    assert "decodery-samplers/xtc" in [step.qualified for step in found.recipe.processors]


def test_a_format_that_there_is_not_is_named_with_those_that_there_are() -> None:
    with pytest.raises(UnknownName, match="no format 'llama'") as caught:
        foreign.loads("", "llama", host=ALONE)
    assert "llama.cpp" in caught.value.remedy
    recipe = foreign.loads("{}", "openai", host=ALONE).recipe
    with pytest.raises(UnknownName, match="to write") as caught:
        foreign.dumps(recipe, "ini")
    assert "hf" in caught.value.remedy


def test_an_engines_bounds_hold_on_the_way_in_and_on_the_way_out() -> None:
    for key, value in (("temperature", 2.5), ("presence_penalty", -3), ("logit_bias", {"7": 101})):
        (problem,) = problems_of(json.dumps({key: value}), "openai")
        assert "it is from" in problem.remedy  # type: ignore[attr-defined]
    recipe = Recipe.from_dict(
        {
            "recipe": 1,
            "strategy": "sample",
            "processors": [{"sequence_bias": [[[7], 150.0], [[8], 1.0]]}, {"temperature": 3}],
            "stop": ["eos", {"stop_strings": ["1", "2", "3", "4", "5"]}],
        }
    )
    written = foreign.dumps(recipe, "openai")
    assert json.loads(written.text) == {
        "logit_bias": {"7": 100, "8": 1.0},
        "temperature": 2,
        "stop": ["1", "2", "3", "4"],
    }
    told = {line.key: line.status for line in written.carried if line.status != "exact"}
    assert told == {
        "processors[0].sequence_bias": "approximated",
        "processors[1].temperature": "approximated",
        "stop.stop_strings": "dropped",
    }
    assert json.loads(foreign.dumps(recipe, "vllm").text)["temperature"] == 3
