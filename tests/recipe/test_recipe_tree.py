"""The tree: values as YAML 1.2 and JSON have them, places as an editor counts them, refusals where they stand."""

from __future__ import annotations

import json
import time

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from decodery.recipe.report import Problems
from decodery.recipe.syntax.nodes import (
    MAX_DEPTH,
    MAX_NODES,
    MappingNode,
    Node,
    ScalarNode,
    SequenceNode,
    plain_data,
)
from decodery.recipe.syntax.text import MAX_BYTES, read
from decodery.recipe.tree import parse


def tree(raw: str | bytes) -> tuple[Node | None, list[tuple[str, int, int]]]:
    problems = Problems()
    found = read(raw, "r.yaml", problems)
    root = parse(found[1], found[0], problems) if found else None
    return root, [(p.code, p.line, p.column) for p in problems]


def value(text: str) -> object:
    root, problems = tree(text)
    assert not problems
    assert root is not None
    return plain_data(root)


def test_quotes_make_a_string_of_anything() -> None:
    assert value('["1", \'yes\', "null", "012"]') == ["1", "yes", "null", "012"]
    root, _ = tree('"yes"')
    assert isinstance(root, ScalarNode)
    assert root.ambiguous is None


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**18), 10**18)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(min_size=1, max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(json_values)
@settings(max_examples=150)
def test_json_reads_as_json(data: object) -> None:
    """YAML 1.2 holds JSON, escapes of characters beyond U+FFFF included."""
    assert value(json.dumps(data)) == json.loads(json.dumps(data))


@given(json_values)
def test_what_pyyaml_writes_is_read_back(data: object) -> None:
    text = yaml.safe_dump(data, allow_unicode=False)
    theirs = yaml.safe_load(text)
    if theirs == data:  # PyYAML itself trips over some floats
        assert value(text) == data


def test_keys_are_text_whatever_they_look_like() -> None:
    assert value("{1: a, yes: b, null: c, 1.5: d}") == {"1": "a", "yes": "b", "null": "c", "1.5": "d"}


def test_every_node_knows_its_place() -> None:
    root, _ = tree("a: 1\nbc:\n  - x\n  - {d: 'e f', g: [h]}\n")
    assert isinstance(root, MappingNode)
    places = {}

    def walk(node: Node) -> None:
        if isinstance(node, ScalarNode):
            places[node.text] = (node.span.line, node.span.column, node.span.length)
        elif isinstance(node, SequenceNode):
            for item in node.items:
                walk(item)
        else:
            for entry in node.entries:
                walk(entry.key)
                walk(entry.value)

    walk(root)
    assert places == {
        "a": (1, 1, 1),
        "1": (1, 4, 1),
        "bc": (2, 1, 2),
        "x": (3, 5, 1),
        "d": (4, 6, 1),
        "e f": (4, 9, 5),
        "g": (4, 16, 1),
        "h": (4, 20, 1),
    }
    flow = root.entries[1].value
    assert isinstance(flow, SequenceNode)
    assert (flow.items[1].span.column, flow.items[1].span.length) == (5, 18)


REFUSED = [
    ("anchor", "a: &x 1", [("anchor", 1, 4)]),
    ("alias", "a: *x", [("alias", 1, 4)]),
    ("alias as a key", "*x : 1", [("alias", 1, 1)]),
    ("tag", "a: !!python/object:os.system x", [("tag", 1, 4)]),
    ("a lone !", "a: ! x", [("tag", 1, 4)]),
    ("tag on a list", "a:\n  !t [1]", [("tag", 2, 3)]),
    ("tag and anchor", "a: !!str &x y", [("anchor", 1, 4), ("tag", 1, 4)]),
    ("merge key", "<<: {a: 1}", [("merge-key", 1, 1)]),
    ("YAML directive", "%YAML 1.1\n---\na: 1", [("directive", 1, 1)]),
    ("unknown directive", "%FOO bar\n---\na: 1", [("directive", 1, 1)]),
    ("second document", "a: 1\n---\nb: 2", [("second-document", 2, 1)]),
    ("duplicate key", "a: 1\nb: 2\na: 3", [("duplicate-key", 3, 1)]),
    ("duplicate key in quotes", '{a: 1, "a": 2}', [("duplicate-key", 1, 8)]),
    ("list as a key", "{[a]: 1}", [("key", 1, 2)]),
    ("mapping as a key", "? {a: 1}\n: 2", [("key", 1, 3)]),
    ("missing key", "?\n: 1", [("key", 1, 2)]),
    ("empty key", '{"": 1}', [("key", 1, 2)]),
    ("tab as indentation", "a:\n\tb: 1", [("syntax", 2, 1)]),
    ("open bracket", "a: [1, 2", [("syntax", 1, 9)]),
    ("open quote", 'a: "b', [("syntax", 1, 6)]),
    ("two colons", "a: b: c", [("syntax", 1, 5)]),
    ("escape beyond Unicode", 'a: "\\U00110000"', [("syntax", 1, 7)]),
    ("negative escape", 'a: "\\UFFFFFFFF"', [("syntax", 1, 7)]),
    ("half a character", 'a: "\\ud800"', [("hidden-character", 1, 4)]),
    ("control character", "a: b\x07", [("hidden-character", 1, 5)]),
    ("escape sequence", "a: \x1b[31mred", [("hidden-character", 1, 4)]),
    ("delete", "\x7f: 1", [("hidden-character", 1, 1)]),
    ("next line", "a: b\x85", [("hidden-character", 1, 5)]),
    ("line separator", "a: b\u2028c", [("hidden-character", 1, 5)]),
    ("bidi", "a: 1\nb: x\u202ey", [("hidden-character", 2, 5)]),
    ("bidi in a comment", "a: 1 # \u2066", [("hidden-character", 1, 8)]),
    ("byte-order mark inside", "a: \ufeff1", [("hidden-character", 1, 4)]),
    ("not UTF-8", b"a: 1\nbc: \xff", [("not-utf8", 2, 5)]),
    ("cut UTF-8", b"a: \xe3\x81", [("not-utf8", 1, 4)]),
    ("UTF-16", "a: 1".encode("utf-16"), [("not-utf8", 1, 1)]),
    ("a long number", "a: " + "9" * 65, [("number", 1, 4)]),
]


@pytest.mark.parametrize(("text", "expected"), [r[1:] for r in REFUSED], ids=[r[0] for r in REFUSED])
def test_refusals_are_located(text: str | bytes, expected: list[tuple[str, int, int]]) -> None:
    assert tree(text)[1] == expected


def test_refusals_are_collected() -> None:
    _, problems = tree("a: &x 1\nb: *x\n<<: {}\na: \x07\nc: !t 1\n")
    assert {code for code, _, _ in problems} == {
        "hidden-character",
        "anchor",
        "alias",
        "merge-key",
        "duplicate-key",
        "tag",
    }


def test_line_breaks_of_all_systems_count_alike() -> None:
    for breaks in ("\n", "\r\n", "\r"):
        assert tree(breaks.join(["a: 1", "b: 2", "c: *x"]))[1] == [("alias", 3, 4)]


def test_a_byte_order_mark_in_front_is_stepped_over() -> None:
    assert tree(b"\xef\xbb\xbfa: *x")[1] == [("alias", 1, 4)]


def test_joiners_and_emoji_are_text() -> None:
    assert value("a: \N{WOMAN}\N{ZERO WIDTH JOINER}\N{ROCKET} می\N{ZERO WIDTH NON-JOINER}خواهم") is not None


def test_an_empty_text_has_no_tree() -> None:
    assert tree("") == (None, [])
    assert tree("# nothing\n") == (None, [])


# -- limits -------------------------------------------------------------------------------------------------------


def test_the_limits_are_where_they_say() -> None:
    fits = "a: " + "x" * (MAX_BYTES - 3)
    assert tree(fits)[1] == []
    assert tree(fits + "x")[1] == [("too-large", 0, 0)]
    assert tree((fits + "x").encode())[1] == [("too-large", 0, 0)]
    assert tree("é" * (MAX_BYTES // 2 + 1))[1] == [("too-large", 0, 0)]  # bytes count, not characters
    assert tree("[" * MAX_DEPTH + "]" * MAX_DEPTH)[1] == []
    assert tree("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1))[1] == [("too-deep", 1, MAX_DEPTH + 1)]
    items = MAX_NODES - 1  # the list itself is one
    assert tree("[" + "1," * items + "]")[1] == []
    assert [p[0] for p in tree("[" + "1," * (items + 1) + "]")[1]] == ["too-many-nodes"]


HOSTILE = {
    "8 MiB of text": "a: " + "x" * (8 << 20),
    "a list of 100,000": "[" + "a," * 100_000 + "]",
    "5,000 brackets": "[" * 5000,
    "5,000 closed brackets": "[" * 5000 + "]" * 5000,
    "5,000 dashes": "- " * 5000,
    "5,000 question marks": "? " * 5000,
    "an indented staircase": "".join(" " * i + "a:\n" for i in range(700)),
    "billion laughs": "a: &a [l,l,l]\n"
    + "".join(f"{b}: &{b} [*{a}, *{a}, *{a}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)),
    "directives": "%FOO bar\n" * 20_000 + "---\na: 1",
    "anchors": "[" + "&a b," * 19_000 + "]",
    "one key, often": "{" + "a: 1," * 9000 + "}",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_text_is_refused_at_once(text: str) -> None:
    start = time.process_time()
    root, problems = tree(text)
    assert problems
    # Processor time, and generous: half a second is usual. What it must not be is minutes, or a RecursionError.
    assert time.process_time() - start < 5
    del root
