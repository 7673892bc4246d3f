"""Plain scalars: what YAML 1.2 says, and where YAML 1.1 (which is to say PyYAML) would read something else."""

from __future__ import annotations

import math

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from decodery.recipe.report import Problems, Source
from decodery.recipe.syntax.nodes import ScalarNode, SequenceNode
from decodery.recipe.syntax.scalars import resolve
from decodery.recipe.tree import parse


def plain(text: str) -> ScalarNode | None:
    """`text` in a list, if it is one scalar there."""
    problems = Problems()
    root = parse(f'["", {text}]', Source("r.yaml", (f'["", {text}]',)), problems)
    if problems or not isinstance(root, SequenceNode) or len(root.items) != 2:
        return None
    return root.items[1] if isinstance(root.items[1], ScalarNode) else None


# Table 10.2 and example 10.9 of yaml.org/spec/1.2.2, with the numbers that people write in recipes.
# fmt: off
CORE = [
    ("null", None), ("Null", None), ("NULL", None), ("~", None),
    ("true", True), ("True", True), ("TRUE", True), ("false", False), ("False", False), ("FALSE", False),
    ("0", 0), ("0o7", 7), ("0x3A", 58), ("-19", -19), ("+12", 12),
    ("0.", 0.0), ("-0.0", -0.0), (".5", 0.5), ("+12e03", 12000.0), ("-2E+05", -200000.0),
    ("1e-5", 1e-5), ("1e5", 1e5), ("6.02e23", 6.02e23), ("01.5", 1.5),
    (".inf", math.inf), ("-.Inf", -math.inf), ("+.INF", math.inf),
    ("nul", "nul"), ("tRUE", "tRUE"), ("0o8", "0o8"), ("0xG", "0xG"), ("1e", "1e"), ("--1", "--1"),
    ("1.2.3", "1.2.3"), ("+", "+"), ("-x", "-x"), (".", "."), ("e5", "e5"), ("0x", "0x"),
]
AMBIGUOUS = [
    "yes", "Yes", "YES", "no", "on", "Off", "y", "N", "012", "-007", "1_0", "1_000.5", "0._", "12:30",
    "1:00:00.5", "2001-01-01", "2001-12-14T21:59:43.10-05:00", "0b101", "0x_1F", "-0x1F",
]
# fmt: on


@pytest.mark.parametrize(("text", "expected"), CORE)
def test_plain_scalars_follow_the_core_schema(text: str, expected: object) -> None:
    found = resolve(text)
    assert (found, type(found)) == (expected, type(expected))


def test_not_a_number_is_read() -> None:
    found = resolve(".nan")
    assert isinstance(found, float)
    assert math.isnan(found)


@pytest.mark.parametrize("text", AMBIGUOUS)
def test_ambiguous_scalars_are_strings_with_a_warning(text: str) -> None:
    node = plain(text)
    assert node is not None
    assert node.value == text
    assert node.ambiguous is not None


@pytest.mark.parametrize("text", AMBIGUOUS)
def test_ambiguous_means_that_pyyaml_reads_something_else(text: str) -> None:
    # PyYAML leaves y and n, which YAML 1.1 itself has as booleans.
    assert text in {"y", "N"} or not isinstance(yaml.safe_load(text), str)


@given(st.text("0123456789_:.-+eExobTZynofYNO ", min_size=1, max_size=12).map(str.strip).filter(bool))
@settings(max_examples=500)
def test_where_pyyaml_differs_the_scalar_is_ambiguous_or_a_number_of_yaml_1_2(text: str) -> None:
    try:
        theirs = yaml.safe_load(f'["", {text}]')[1]
    except (yaml.YAMLError, ValueError):
        return
    node = plain(text)
    if node is None:
        return
    if type(theirs) is type(node.value) and theirs == node.value:
        return
    only_in_1_2 = (
        isinstance(theirs, str) and isinstance(node.value, (int, float)) and not isinstance(node.value, bool)
    )
    assert node.ambiguous is not None or only_in_1_2, (text, theirs, node.value)
