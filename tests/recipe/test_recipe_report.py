"""Reports: rustc's shape, carets under the exact text, nothing invisible passed on, never more than 4 KiB."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decodery.recipe.recipe import check_text
from decodery.recipe.report import MAX_REPORT, Problem, Source, Span, render, shown

BAD = """\
recipe: 1
name: bad
strategy: {sample: {seed: 42}}
# two mistakes
processors:
  - repetition_penalty: {penalty: 1.1, windw: 256}
  - top_p: 1.5
"""

# The first block is the example of the design, character for character.
REPORT = """\
error: repetition_penalty has no parameter 'windw'
 --> bad.yaml:6:40  (processors[0].repetition_penalty)
6 |   - repetition_penalty: {penalty: 1.1, windw: 256}
  |                                        ^^^^^
  = help: did you mean 'window'?
error: top_p: p = 1.5: input should be less than or equal to 1
 --> bad.yaml:7:12  (processors[1].top_p.p)
7 |   - top_p: 1.5
  |            ^^^
  = help: it is at least 0 and at most 1
2 problems found; nothing was run."""


def at(
    line: str, column: int, length: int = 1, message: str = "m", name: str = "f", number: int = 1
) -> Problem:
    source = Source(name, ("",) * (number - 1) + (line,))
    return Problem.at(Span(source, number, column, length), "code", message)


def test_the_report_of_the_design() -> None:
    recipe, problems = check_text(BAD, "bad.yaml")
    assert recipe is None
    assert render(problems) == REPORT


def test_one_problem_is_singular() -> None:
    assert render([at("x", 1)]).splitlines()[-1] == "1 problem found; nothing was run."


def test_the_gutter_grows_with_the_line_number() -> None:
    lines = render([at("abc", 2, number=120)]).splitlines()
    assert lines[1:4] == ["   --> f:120:2", "120 | abc", "    |  ^"]


def test_a_problem_of_the_whole_file_has_no_snippet() -> None:
    problem = Problem.at(Span(Source("f.yaml")), "code", "too large", "make it smaller")
    assert render([problem]).splitlines()[1:-1] == ["--> f.yaml", " = help: make it smaller"]


def caret_line(problem: Problem) -> tuple[str, str]:
    lines = render([problem]).splitlines()
    return lines[2][len("1 | ") :], lines[3][len("  | ") :]


def test_carets_stand_under_wide_and_combining_characters() -> None:
    snippet, carets = caret_line(at("日本: e\u0301x", 7))
    assert snippet == "日本: e\u0301x"
    assert carets == " " * (2 + 2 + 1 + 1 + 1) + "^"  # two wide ones, ':', ' ', one e with its accent
    assert caret_line(at("日本: 1", 1, 2))[1] == "^^^^"


def test_carets_step_over_escapes_and_tabs() -> None:
    snippet, carets = caret_line(at("\x1b[31m\tred", 7, 3))
    assert snippet == "\\x1b[31m    red"
    assert carets.index("^") == snippet.index("red")
    assert carets.count("^") == 3


def test_long_lines_are_cut_around_the_caret() -> None:
    line = "a" * 5000 + "BAD" + "c" * 5000
    snippet, carets = caret_line(at(line, 5001, 3))
    start = carets.index("^")
    assert snippet[start : start + 3] == "BAD"
    assert snippet.startswith("...a")
    assert snippet.endswith("c...")
    assert len(snippet) < 120


def test_a_caret_past_the_end_of_the_line_is_shown() -> None:
    assert caret_line(at("ab", 3))[1] == "  ^"
    assert caret_line(at("", 1, 0))[1] == "^"


HOSTILE = "\x1b[2J\x07\u202eevil\u2066\r\n\x00\ud800<script>"


def test_hostile_text_is_escaped_everywhere() -> None:
    source = Source(HOSTILE, (HOSTILE,))
    problem = Problem.at(Span(source, 1, 2, 3), "code", HOSTILE, HOSTILE, HOSTILE)
    for char in render([problem]):
        assert char == "\n" or unicodedata.category(char) not in {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}


def test_hostile_recipes_are_shown_escaped() -> None:
    text = 'recipe: 1\n"\\x1b[31m\\u202e<script>": 1\nname: \x1b[31mred\n'
    report = render(check_text(text, "\x1b[2Jx.yaml")[1])
    assert "\x1b" not in report
    assert "\u202e" not in report
    assert "\\x1b[31m" in report
    assert "\\u202e" in report


@given(
    st.lists(
        st.builds(
            at,
            st.text(max_size=400),
            st.integers(1, 500),
            st.integers(0, 500),
            st.text(max_size=600),
            st.text(max_size=300),
        ),
        min_size=1,
        max_size=60,
    )
)
def test_a_report_is_never_longer_than_its_limit(problems: list[Problem]) -> None:
    report = render(problems)
    assert len(report.encode()) <= MAX_REPORT
    assert "problem" in report.splitlines()[-1]


def test_what_does_not_fit_is_counted() -> None:
    problems = [at("x" * 90, 1, message=f"mistake {i}") for i in range(40)]
    lines = render(problems).splitlines()
    told = sum(line.startswith("error:") for line in lines)
    assert 5 < told < 40
    assert lines[-2:] == [f"... and {40 - told} more", "40 problems found; nothing was run."]


def test_bytes_count_not_characters() -> None:
    problems = [at("日" * 40, 1, message="本" * 200) for _ in range(20)]
    report = render(problems)
    assert len(report) < MAX_REPORT // 2
    assert len(report.encode()) <= MAX_REPORT


def test_a_single_monstrous_problem_still_fits() -> None:
    wide = "\U0001f600" * 5000
    source = Source(wide, (wide,))
    report = render([Problem.at(Span(source, 1, 2500, 4000), "code", wide, wide, wide)])
    assert len(report.encode()) <= MAX_REPORT
    assert report.startswith("error: \U0001f600")


@pytest.mark.parametrize(
    ("text", "expected"), [("abc", "abc"), ("a\tb", "a    b"), ("a\nb", "a\\nb"), ("\xa0", "\\xa0")]
)
def test_shown(text: str, expected: str) -> None:
    assert shown(text) == expected


def test_a_tag_is_escaped_and_our_own_names_are_not() -> None:
    text = "recipe: 1\nname: 3 # <script>alert(1)</script><!-- <b\nprocessors: ['<img src=x>', 'a <1 <= <']"
    report = render(check_text(text, "<stdin>")[1])
    assert "<script" not in report
    assert r"\x3cscript>alert(1)\x3c/script>\x3c!-- \x3cb" in report
    assert r"\x3cimg src=x>" in report
    assert "a <1 <= <" in report  # no tag begins like this
    assert " --> <stdin>:2:7" in report
    assert "--> <command line>:1:1" in render(check_text("recipe: 1", "r", ["top_p=3"])[1])
    assert r"\x3cscript>.yaml:1:1" in render([at("x", 1, name="<script>.yaml")])


def test_a_caret_steps_over_an_escaped_tag() -> None:
    snippet, carets = caret_line(at("<b> 1.5 <i>", 5, 3))
    assert snippet == r"\x3cb> 1.5 \x3ci>"
    assert carets.index("^") == snippet.index("1.5")
    assert carets.count("^") == 3


def test_notes_and_warnings_have_their_place() -> None:
    child = Source("child.yaml", ("recipe: 1", "extends: ./b.yaml"))
    base = Source("b.yaml", ("x",), Span(child, 2, 10, 8))
    warning = Problem.at(
        Span(base, 1, 1, 1), "dead-step", "it does nothing", "take it out", severity="warning"
    )
    assert (
        render([warning], "ok")
        == """\
warning[dead-step]: it does nothing
 --> b.yaml:1:1
1 | x
  | ^
  = note: child.yaml:2:10 extends b.yaml
  = help: take it out
ok"""
    )


def test_a_monstrous_chain_still_fits() -> None:
    source = Source("\U0001f600" * 500, ("x",))
    for _ in range(8):
        source = Source("\U0001f600" * 500, ("x",), Span(source, 1, 1, 1))
    wide = "\U0001f600" * 500
    report = render([Problem.at(Span(source, 1, 1, 1), "shape", wide, wide, wide)])
    assert len(report.encode()) <= MAX_REPORT
    assert report.startswith("error: \U0001f600")
