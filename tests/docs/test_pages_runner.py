"""The runner finds pages that do not do what they show."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from pages import agrees, blocks, commands
from rewrite import rewritten
from runner import WrongExitCode, read_command, run_page

from decodery import DecoderyError


def problems(page: str, tmp_path: Path) -> list[str]:
    path = tmp_path / "page.md"
    path.write_text(page)
    place = tmp_path / "place"
    place.mkdir()
    return [ran.problem for ran in run_page(path, place) if ran.problem]


def fenced(language: str, *lines: str) -> str:
    return "\n".join([f"```{language}", *lines, "```", ""])


def test_what_is_printed_must_be_what_is_shown(tmp_path: Path) -> None:
    found = problems(fenced("python", "print(1)") + "\n" + fenced("text", "2"), tmp_path)
    assert len(found) == 1
    assert "page.md:1" in found[0]


def test_blocks_of_a_page_share_a_namespace_and_run_in_order(tmp_path: Path) -> None:
    page = fenced("python", "x = 2") + fenced("python", "print(x)") + fenced("text", "2")
    assert problems(page, tmp_path) == []


def test_prose_between_code_and_text_makes_it_no_output(tmp_path: Path) -> None:
    assert problems(fenced("python", "print(1)") + "A drawing:\n" + fenced("text", "2"), tmp_path) == []


def test_a_sample_may_differ_but_not_be_empty(tmp_path: Path) -> None:
    assert problems(fenced("python", "print(1)") + fenced("text sample", "2"), tmp_path) == []
    (tmp_path / "other").mkdir()
    assert problems(fenced("python", "1") + fenced("text sample", "2"), tmp_path / "other")


def test_code_that_fails_fails_the_page(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        problems(fenced("python", "1 / 0"), tmp_path)


def test_what_is_marked_is_not_run(tmp_path: Path) -> None:
    assert problems("<!-- not run: it divides by zero -->\n" + fenced("python", "1 / 0"), tmp_path) == []


def test_a_recipe_on_a_page_must_be_one(tmp_path: Path) -> None:
    with pytest.raises(DecoderyError, match="top_q"):
        problems(fenced("yaml", "# a comment", "recipe: 1", "processors: [top_q: 1]"), tmp_path)


def test_commands_are_compared_and_their_failures_must_be_shown(tmp_path: Path) -> None:
    bad = fenced("yaml", "# file: bad.yaml", "recipe: 2")
    (tmp_path / "shown").mkdir()
    with pytest.raises(WrongExitCode, match="exit code 1"):
        problems(bad + fenced("console", "$ decodery recipe check bad.yaml"), tmp_path)
    shown = bad + fenced("console", "$ decodery recipe check bad.yaml", "...", "$ echo $?", "1")
    assert problems(shown, tmp_path / "shown") == []


def test_other_output_of_a_command_is_found(tmp_path: Path) -> None:
    assert problems(fenced("console", "$ decodery --version", "decodery 9.9.9"), tmp_path)


def test_a_page_leaves_nothing_behind(tmp_path: Path) -> None:
    here, path = os.getcwd(), list(sys.path)
    page = fenced("python", "# file: left_behind.py", "x = 1") + fenced(
        "python", "import sys", "sys.path.insert(0, '.')", "import left_behind"
    )
    assert problems(page, tmp_path) == []
    assert (os.getcwd(), sys.path) == (here, path)
    assert "left_behind" not in sys.modules
    assert "page" not in sys.modules


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        ("a\n", "a\n\n", True),
        ("a", "b", False),
        ("a\n...\nd", "a\nb\nc\nd", True),
        ("a\n...\nd", "a\nb\nc", False),
        ("took ... ms", "took 12 ms", True),
        ("took ... ms", "took 12 s", False),
        ("took ... ms", "took\n12 ms", False),
        ("a.c", "abc", False),
    ],
)
def test_dots_stand_for_what_may_differ(shown: str, printed: str, same: bool) -> None:
    assert agrees(shown, printed) is same


def test_a_command_may_go_on_in_the_next_line() -> None:
    (block,) = blocks(fenced("console", "$ decodery generate a \\", "    -m demo", "out", "$ echo $?", "0"))
    first, second = commands(block)
    assert (first.text, first.shown, first.line, first.last) == (
        "decodery generate a -m demo",
        ("out",),
        2,
        3,
    )
    assert (second.text, second.shown) == ("echo $?", ("0",))


def test_only_our_own_command_is_run() -> None:
    assert read_command("make demo") is None
    assert read_command("pip install decodery") is None
    piped = read_command("echo a b | decodery generate -p -")
    assert piped is not None
    assert (piped.stdin, piped.arguments) == ("a b\n", ["generate", "-p", "-"])
    chosen = read_command("DECODERY_PLUGINS=-a decodery plugins list")
    assert chosen is not None
    assert chosen.settings == {"DECODERY_PLUGINS": "-a"}


def test_rewriting_a_page_makes_it_true_and_keeps_its_dots(tmp_path: Path) -> None:
    page = (
        fenced("python", "print('took 3 ms', 1, sep='\\n')")
        + fenced("text", "took ... ms", "2")
        + fenced("console", "$ decodery --version", "", "$ decodery recipe check greedy", "gr...eedy: ...")
    )
    path, place = tmp_path / "page.md", tmp_path / "place"
    path.write_text(page)
    place.mkdir()
    after = rewritten(page, list(run_page(path, place)))
    assert "took ... ms\n1\n```" in after
    assert "gr...eedy" in after
    (tmp_path / "again").mkdir()
    assert problems(after, tmp_path / "again") == []
