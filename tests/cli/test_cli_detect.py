"""`decodery detect`: the watermark of a recipe, found in text that the recipe made, and in no other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from decodery.builtin.watermarks import detect_synthid_watermark, detect_watermark

KEYS = [654, 400, 836, 123, 340, 443, 597, 160, 57, 29]
GUMBEL = "decodery-samplers/gumbel_watermark"
STEPS = {"watermark": "{bias: 3.0}", "synthid_watermark": f"{{keys: {KEYS}}}"}
PLAIN = (
    "It was the best of times, it was the worst of times, it was the age of wisdom and the age of foolishness"
)


@pytest.fixture
def recipe(tmp_path: Path) -> Any:
    def recipe(*steps: str) -> Path:
        file = tmp_path / f"{'-'.join(steps)}.yaml"
        lines = "".join(f"  - {step}: {STEPS[step]}\n" for step in steps)
        head = "recipe: 1\nname: marked\nstrategy: {sample: {seed: 7}}\n"
        file.write_text(f"{head}processors:\n{lines}stop: [{{max_new_tokens: 80}}]\n")
        return file

    return recipe


@pytest.fixture
def marked(run: Any) -> Any:
    """What the demo model writes by a recipe: (text, ids)."""

    def marked(recipe: Path) -> tuple[str, list[int]]:
        row = json.loads(run("generate", "Once upon a time", "-m", "demo", "-r", recipe, "--json").out)
        return row["text"], row["tokens"]

    return marked


def test_a_plugins_strategy_brings_the_detector_of_its_mark(run, marked, tmp_path):
    pytest.importorskip("decodery_samplers")
    file = tmp_path / "gumbel.yaml"
    file.write_text("recipe: 1\nstrategy: {gumbel_watermark: {key: 42}}\nstop: [{max_new_tokens: 80}]\n")
    _, ids = marked(file)
    options = (" ".join(map(str, ids)), "--ids", "-m", "demo", "-r", file)
    found = run("detect", *options)
    assert found.code == 0, found.err
    assert found.out.startswith(f"{GUMBEL}: -ln(1 - u) of ")
    assert run("detect", *options, "-o", "strategy.key=43").code == 3
    data = json.loads(run("detect", *options, "--json").out)
    from decodery_samplers.choosing.gumbel_watermark import detect_gumbel_watermark

    [evidence] = detect_gumbel_watermark([ids], key=42)
    assert (data["step"], data["p"], data["scored"]) == (GUMBEL, evidence.p, evidence.scored)
    assert "green" not in data


@pytest.mark.parametrize("step", STEPS)
def test_marked_text_is_found_wherever_it_comes_from_and_plain_text_is_not(
    run, recipe, marked, tmp_path, step
):
    options = ("-m", "demo", "-r", recipe(step))
    text, _ = marked(recipe(step))
    file = tmp_path / "text.txt"
    file.write_text(text + "\n", encoding="utf-8")
    as_argument = run("detect", text, *options)
    assert as_argument.code == 0, as_argument.err
    assert as_argument.out.startswith(f"{step}: ")
    assert as_argument.out.endswith("< 0.001: watermarked\n")
    assert run("detect", file, *options).out == as_argument.out
    assert run("detect", "-p", file, *options).out == as_argument.out
    assert run("detect", "-", *options, stdin=file.read_bytes()).out == as_argument.out
    both = run("detect", file, PLAIN, *options)
    assert both.code == 3
    first, second, third, fourth = both.out.splitlines()
    assert (first, second) == (f"[{file}]", as_argument.out.rstrip())
    assert third == "[text 1]"
    assert fourth.endswith(">= 0.001: no watermark found")


def test_json_tells_what_the_functions_find(run, recipe, marked):
    file = recipe("watermark", "synthid_watermark")
    _, ids = marked(file)
    written = " ".join(map(str, ids))
    lines = run("detect", written, "--ids", "-m", "demo", "-r", file, "--json").out.splitlines()
    green, tournament = map(json.loads, lines)
    wanted = (
        detect_watermark([ids], vocab_size=4096, bias=3.0)[0],
        detect_synthid_watermark([ids], keys=KEYS)[0],
    )
    for found, evidence in zip((green, tournament), wanted, strict=True):
        for name in ("scored", "score", "expected", "z", "p"):
            assert found[name] == getattr(evidence, name)
    assert (green["step"], tournament["step"]) == ("watermark", "synthid_watermark")
    assert green["green"] == round(green["score"] * green["scored"])
    assert (green["tokens"], green["recipe"], green["model"], green["threshold"]) == (
        80,
        "marked",
        "demo",
        0.001,
    )


def test_what_stood_in_front_gives_the_first_token_its_seed(run, recipe):
    options = ("--ids", "-m", "demo", "-r", recipe("watermark"), "--json")
    alone, behind = (
        json.loads(run("detect", "5 6 7 8", *more, *options).out) for more in ((), ("--prompt", "4"))
    )
    assert (alone["scored"], behind["scored"]) == (3, 4)


def test_the_parameters_and_the_threshold_decide(run, recipe, marked):
    file = recipe("watermark")
    text, _ = marked(file)
    command = ("detect", text, "-m", "demo", "-r", file)
    assert run(*command, "-o", "watermark.hashing_key=99").code == 3
    assert run(*command, "--threshold", "1e-30").code == 3
    assert run(*command, "--threshold", "0").code == 2


def test_lines_are_texts_of_their_own(run, recipe):
    outcome = run(
        "detect", "-", "--lines", "-m", "demo", "-r", recipe("watermark"), stdin=f"{PLAIN}\n\nno\n".encode()
    )
    assert outcome.code == 3
    labels = [line for line in outcome.out.splitlines() if line.startswith("[")]
    assert labels == ["[stdin, line 0]", "[stdin, line 1]"]
    assert outcome.out.endswith("watermark: the text is too short to say\n")


def test_mistakes_are_told(run, recipe):
    unmarked = run("detect", PLAIN, "-m", "demo", "-r", "chat")
    assert (unmarked.code, unmarked.out) == (1, "")
    assert "the recipe 'chat' leaves no watermark" in unmarked.err
    assert "watermark, synthid_watermark" in unmarked.err
    assert run("detect", PLAIN, "-m", "demo").code == 2  # which recipe?
    assert run("detect", "-m", "demo", "-r", recipe("watermark")).code == 2  # which text?
    assert (
        "outside the vocabulary of 4096"
        in run("detect", "1 2 9999", "--ids", "-m", "demo", "-r", recipe("watermark")).err
    )
    assert "needs" not in run("detect", PLAIN, "-m", "nobodys", "-r", recipe("watermark")).out


@pytest.mark.parametrize("device", ["banana", "cuda:99"])
def test_a_device_that_is_not_there_is_told_as_generate_tells_it(run, recipe, device):
    outcome = run("detect", PLAIN, "-m", "demo", "-r", recipe("watermark"), "--device", device)
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.startswith(f"error: device '{device}' cannot be used: ")
    assert "use 'cpu'" in outcome.err


def test_a_folder_is_no_text(run, recipe, tmp_path):
    outcome = run("detect", tmp_path, "-m", "demo", "-r", recipe("watermark"))
    assert (outcome.code, outcome.out) == (1, "")
    assert f"{str(tmp_path)!r} is a folder" in outcome.err


def test_a_word_that_is_a_folder_too_is_told_to_be_a_text(run, recipe, tmp_path, monkeypatch):
    (tmp_path / "texts").mkdir()
    monkeypatch.chdir(tmp_path)
    outcome = run("detect", "texts", "-m", "demo", "-r", recipe("watermark"))
    assert outcome.code == 3
    assert "'texts' is taken for a text, and not for the folder of that name" in outcome.err


def test_a_mistyped_file_is_not_silently_a_text(run, recipe):
    outcome = run("detect", "stroy.txt", "-m", "demo", "-r", recipe("watermark"))
    assert outcome.code == 3
    assert "there is no file 'stroy.txt'" in outcome.err
    assert "no file" not in run("detect", PLAIN, "-m", "demo", "-r", recipe("watermark")).err
