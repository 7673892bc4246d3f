"""A command line's words are those that a shell would see; what a shell would do is refused."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decodery.contracts.errors import RecipeError
from decodery.recipe import foreign
from decodery.recipe.presets.engines.words import split
from decodery.recipe.report import Problems, Source


def words_of(text: str) -> list[str] | None:
    problems = Problems()
    words = split(text, Source("x", tuple(text.split("\n"))), problems)
    return None if problems else [word.text for word in words]


@given(st.lists(st.text("ab \n'\"\\#-=x\t", max_size=8), max_size=5))
def test_what_shlex_quotes_is_read_back(words: list[str]) -> None:
    assert words_of(shlex.join(words)) == words


@given(st.text("ab '\"\\-=", max_size=30))
def test_quotes_and_escapes_are_those_of_shlex(text: str) -> None:
    try:
        expected = shlex.split(text)
    except ValueError:  # no closing quotation, no escaped character
        expected = None
    assert words_of(text) == expected


def test_comments_and_lines_that_go_on() -> None:
    text = "# first\nllama-cli --temp 0.5 \\\n  --top-k 3 # why\n --prompt 'a # b' c#d \\\r\n last\n"
    assert words_of(text) == [
        "llama-cli",
        "--temp",
        "0.5",
        "--top-k",
        "3",
        "--prompt",
        "a # b",
        "c#d",
        "last",
    ]


def test_words_know_their_places() -> None:
    words = split("a 'b c'\n  \\\n --d e", Source("x"), Problems())
    assert [(word.text, word.span.line, word.span.column, word.span.length) for word in words] == [
        ("a", 1, 1, 1),
        ("b c", 1, 3, 5),
        ("--d", 3, 2, 3),
        ("e", 3, 6, 1),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "llama-cli --temp 1 | tee log",
        "llama-cli --temp 1 && rm -rf x",
        "llama-cli; echo",
        "llama-cli --temp $TEMP",
        "llama-cli --temp ${TEMP}",
        'llama-cli -p "$(cat prompt)"',
        "llama-cli -p `cat prompt`",
        'llama-cli -p "`cat prompt`"',
        "llama-cli > out",
        "llama-cli &",
        "llama-cli -p 'half",
        'llama-cli -p "half',
        "llama-cli -p \\",
    ],
)
def test_what_is_for_a_shell_is_refused_at_its_place(text: str) -> None:
    with pytest.raises(RecipeError) as caught:
        foreign.loads(text, "llama.cpp")
    (problem,) = caught.value.problems
    assert problem.code == "syntax"
    assert problem.line == 1
    assert problem.column > 1


def test_dollars_that_expand_nothing_are_letters() -> None:
    assert words_of('\'$HOME\' "\\$HOME" $ 5$ "a$"') == ["$HOME", "$HOME", "$", "5$", "a$"]
