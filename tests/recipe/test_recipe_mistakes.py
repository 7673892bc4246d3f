"""Every mistake a recipe can make is one problem, at its line and column, with what to do about it."""

from __future__ import annotations

import pytest

from decodery.host.registry import Host
from decodery.recipe.recipe import check_text
from decodery.recipe.report import Problem

V = "recipe: 1\n"
# text below "recipe: 1", line, column, length of the caret, words of the message, words of the remedy
# fmt: off
MISTAKES = {
    "unknown step": ("processors:\n  - top_o: 1", 3, 5, 5, "unknown step 'top_o'", "did you mean 'top_p'?"),
    "unknown step, bare": ("stop: [eoss]", 2, 8, 4, "unknown step 'eoss'", "did you mean 'eos'?"),
    "no colon": ("processors:\n  - temperature 0.7", 3, 5, 15, "unknown step", "write 'temperature: 0.7'"),
    "no space": ("processors:\n  - temperature:0.7", 3, 5, 15, "unknown step", "write 'temperature: 0.7'"),
    "missing plugin": (
        "processors: [acme-decode/top_a]", 2, 14, 17,
        "no plugin 'acme-decode' is installed", "pip install acme-decode",
    ),
    "a plugin's name for the shell": (
        "processors: ['x; rm -rf ~/y']", 2, 14, 15,
        "is no step's name", "acme-decode/top_a",
    ),
    "unknown strategy": ("strategy: greddy", 2, 11, 6, "unknown strategy 'greddy'", "did you mean 'greedy'?"),
    "unknown parameter": (
        "processors:\n  - top_k: {k: 4, tie: keep}", 3, 19, 3,
        "top_k has no parameter 'tie'", "'ties'",
    ),
    "unknown key with a dot": (
        "processors:\n  - top_k: {k: 4, ti.es: keep}", 3, 19, 5,
        "no parameter 'ti.es'", "",
    ),
    "parameter of a step without": (
        "stop:\n  - eos: {now: 1}", 3, 11, 3,
        "eos has no parameter 'now'", "no parameters",
    ),
    "value of a step without": ("stop:\n  - eos: 5", 3, 10, 1, "eos takes no value", "write 'eos' alone"),
    "missing parameter": (
        "processors:\n  - temperature", 3, 5, 11,
        "'temperature' is missing", "temperature: ...",
    ),
    "a choice that there is not": (
        "strategy: {mix: {formula: nope}}", 2, 27, 4, "should be 'cfg', 'contrastive'", "",
    ),
    "a missing choice": (
        "strategy: mix", 2, 11, 3, "'formula' is missing",
        "'formula: cfg'; it is cfg, contrastive, context_aware or experts",
    ),
    "missing in braces": ("processors:\n  - top_k: {ties: cut}", 3, 5, 5, "'k' is missing", "k: ..."),
    "empty value": (
        "processors:\n  - temperature:", 3, 5, 11,
        "'temperature' is missing", "temperature: ...",
    ),
    "out of bounds": ("processors:\n  - top_p: 1.5", 3, 12, 3, "p = 1.5", "at least 0 and at most 1"),
    "out of bounds in braces": ("processors:\n  - top_p: {p: 1.5}", 3, 16, 3, "p = 1.5", "at most 1"),
    "out of bounds by an alias": (
        "processors:\n  - top_p: {top_p: 1.5}", 3, 20, 3,
        "top_p = 1.5", "at most 1",
    ),
    "a quoted number": ("processors:\n  - top_p: \"0.9\"", 3, 12, 5, "p = '0.9'", "without quotes"),
    "a truth value": ("processors:\n  - top_k: true", 3, 12, 4, "k = True", "not numbers"),
    "a list": ("processors:\n  - top_k: [1, 2]", 3, 12, 6, "k = [1, 2]", ""),
    "not one of": (
        "processors:\n  - top_k: {k: 1, ties: drop}", 3, 25, 4,
        "ties = 'drop'", "the default is \"keep\"",
    ),
    "infinite": ("processors:\n  - temperature: .inf", 3, 18, 4, "finite", "greater than 0"),
    "in a list": ("stop:\n  - stop_token_ids: [1, -2]", 3, 25, 2, "ids[1] = -2", ""),
    "deep in a list": ("processors:\n  - bad_words: {ids: [[2, x]]}", 3, 27, 1, "ids[0][1] = 'x'", ""),
    "a number for a string": (
        "stop:\n  - stop_strings: [a, 12]", 3, 23, 2,
        "valid string", "write \"12\", in quotes",
    ),
    "yes for a number": (
        "processors:\n  - top_k: yes", 3, 12, 3,
        "YAML 1.1 reads this as true", "write true",
    ),
    "octal": ("processors:\n  - top_k: 012", 3, 12, 3, "an octal number", "without the zeros"),
    "separators": ("stop:\n  - max_new_tokens: 1_000", 3, 21, 5, "separators", "without '_'"),
    "minutes": ("stop:\n  - max_time: 12:30", 3, 15, 5, "base 60", "a number"),
    "date": ("processors:\n  - top_k: {k: 2001-01-01}", 3, 16, 10, "a date", "a number"),
    "two names of one parameter": (
        "processors:\n  - top_k: {k: 1, top_k: 2}", 3, 19, 5,
        "names of the same parameter", "keep",
    ),
    "stop rule among processors": ("processors:\n  - eos", 3, 5, 3, "eos is a stop rule", "below 'stop:'"),
    "processor among stop rules": (
        "stop:\n  - top_k: 4", 3, 5, 5,
        "top_k is a processor", "below 'processors:'",
    ),
    "two steps in one item": (
        "processors:\n  - top_k: 4\n    top_p: 0.9", 4, 5, 5,
        "one step has one name; here are 2", "begin a new item with '-' for 'top_p'",
    ),
    "parameters not indented": (
        "processors:\n  - top_k:\n    k: 4", 4, 5, 1,
        "one name", "indent 'k' below 'top_k'",
    ),
    "a list for a step": ("processors:\n  - [top_k, 4]", 3, 5, 10, "not a list", "- temperature: 0.7"),
    "a number for a step": ("stop:\n  - 12", 3, 5, 2, "belongs here, not 12", "- temperature"),
    "nothing for a step": ("stop:\n  -\n  - eos", 3, 4, 0, "belongs here, not nothing", "- temperature"),
    "an empty mapping for a step": ("stop:\n  - {}", 3, 5, 2, "an empty mapping", ""),
    "processors as a mapping": (
        "processors:\n  top_k: 4", 3, 3, 8,
        "processors is a list", "- temperature: 0.7",
    ),
    "stop as text": ("stop: eos", 2, 7, 3, "stop is a list", "- eos"),
    "no stop rule": ("stop: []", 2, 7, 2, "stop has no rules", "max_new_tokens: 256"),
    "nothing below stop": ("stop:", 2, 6, 0, "stop has no rules", "take it out"),
    "two strategies": (
        "strategy: {sample: {}, seed: 3}", 2, 24, 4,
        "one strategy has one name", "below 'sample'",
    ),
    "no strategy": ("strategy:", 2, 10, 0, "not nothing", "strategy: sample"),
    "unknown strategy parameter": (
        "strategy: {sample: {sed: 3}}", 2, 21, 3,
        "sample has no parameter 'sed'", "",
    ),
    "seed below 0": ("strategy: {sample: {seed: -1}}", 2, 27, 2, "from 0 to 2**64 - 1", "seed: 42"),
    "seed too large": ("strategy: {greedy: {seed: 18446744073709551616}}", 2, 27, 20, "2**64", ""),
    "seed as text": ("strategy: {sample: {seed: \"1\"}}", 2, 27, 3, "whole number", ""),
    "seed as truth": ("strategy: {sample: {seed: true}}", 2, 27, 4, "whole number", ""),
    "unknown key": ("procesors: []", 2, 1, 9, "no key 'procesors'", "did you mean 'processors'?"),
    "a seed of its own": ("seed: 3", 2, 1, 4, "no key 'seed'", "strategy: {sample: {seed: 42}}"),
    "strange key": ("zzz: 1", 2, 1, 3, "no key 'zzz'", "a recipe has: recipe, name"),
    "name": ("name: 12", 2, 7, 2, "name is text", "write \"12\", in quotes"),
    "description": ("description: [a]", 2, 14, 3, "description is text", ""),
    "compat": ("compat: vllm", 2, 9, 4, "compat is hf, not vllm", "write compat: hf"),
    "on_bad_row": ("on_bad_row: stop", 2, 13, 4, "error or stop_row", "write on_bad_row: stop_row"),
    "include_stop": ("include_stop: yes", 2, 15, 3, "true or false, not yes", "write true"),
    "include_stop in quotes": ("include_stop: \"true\"", 2, 15, 6, "not true", "without quotes"),
    "include_stop as a number": ("include_stop: 1", 2, 15, 1, "true or false, not 1", ""),
    "extends from nowhere": (
        "extends: ./chat.yaml", 2, 10, 11,
        "no folder to look in", "Recipe.loads takes folder",
    ),
    "extends a list": ("extends: [a, b]", 2, 10, 6, "the path of one recipe", "extends one other"),
    "extends nothing": ("extends:", 2, 9, 0, "the path of one recipe", "./chat.yaml"),
    "extends a number": ("extends: 3", 2, 10, 1, "the path of one recipe", "./chat.yaml"),
    "extends a name that is none": ("extends: chatt", 2, 10, 5, "unknown recipe 'chatt'", "'chat'"),
    "extends a plugin's": ("extends: acme-decode/chat", 2, 10, 16, "no plugin", "pip install acme-decode"),
    "extends the root": ("extends: /etc/passwd", 2, 10, 11, "begins at the root", "relative"),
    "patch as a mapping": ("patch: {set: {top_k: 3}}", 2, 8, 17, "a list of changes", "- set:"),
    "patch of a word": ("patch: [drop]", 2, 9, 4, "a change is a mapping", "- set:"),
    "an unknown change": ("patch: [{sett: {a: 1}}]", 2, 10, 4, "no key 'sett'", "did you mean 'set'?"),
    "two changes": ("patch: [{set: {name: a}, drop: eos}]", 2, 26, 4, "one change is one of", "for 'drop'"),
    "a place without insert": ("patch: [{drop: eos, after: eos}]", 2, 21, 5, "no key 'after'", "take it out"),
    "two places": (
        "patch: [{insert: top_k, at: 0, after: eos}]", 2, 32, 5,
        "goes to one place", "'at' or 'after'",
    ),
    "a place that is none": ("patch: [{insert: {top_k: 1}, at: 2}]", 2, 34, 1, "from 0 to 0", "0 is before"),
    "set nothing": ("patch: [{set: eos}]", 2, 15, 3, "set is a mapping", ""),
    "set what is not there": (
        "patch: [{set: {top_k: 3}}]", 2, 16, 5,
        "no step 'top_k'", "add it with 'insert'",
    ),
    "set how to read": ("patch: [{set: {recipe: 2}}]", 2, 16, 6, "how to read the file", ""),
    "set no name": ("patch: [{set: {'a b': 2}}]", 2, 16, 5, "names no step", "NAME#2"),
    "set a wrong value": (
        "patch: [{set: {max_new_tokens: 0}}]", 2, 32, 1,
        "max_new_tokens = 0", "greater than 0",
    ),
    "set a seed": ("patch: [{set: {seed: 1}}]", 2, 16, 4, "'seed'", "write 'strategy.seed: 42'"),
    "drop what is not there": ("patch: [{drop: [eos, top_k]}]", 2, 22, 5, "no step 'top_k'", "insert"),
    "drop a parameter": ("patch: [{drop: eos.a}]", 2, 16, 5, "name of a step", ""),
    "replace what is not there": ("patch: [{replace: {top_k: eos}}]", 2, 20, 5, "no step 'top_k'", ""),
    "replace nothing": ("patch: [{replace: }]", 2, 18, 0, "replace is a mapping", "min_p"),
    "insert nothing": ("patch: [{insert: []}]", 2, 18, 2, "nothing to insert", ""),
    "insert what is unknown": ("patch: [{insert: {top_q: 1}}]", 2, 19, 5, "unknown step 'top_q'", "'top_p'"),
    "requires what is missing": (
        "requires: [acme-decode>=0.3]", 2, 12, 16,
        "acme-decode is not installed", "pip install 'acme-decode>=0.3'",
    ),
    "requires another version": ("requires: ['pluggy<1']", 2, 12, 10, "is installed", "pip install -U 'pluggy<1'"),
    "requires text": ("requires: pluggy", 2, 11, 6, "requires is a list", "['pluggy']"),
    "requires nonsense": ("requires: ['a b c']", 2, 12, 7, "names no package", "acme-decode>=0.3,<1"),
    "requires a number": ("requires: [3]", 2, 12, 1, "names no package", ""),
    "requires an address": ("requires: ['a @ http://b/c']", 2, 12, 16, "without addresses", ""),
    "requires a line for the shell": ("requires: [\"a===1'x\"]", 2, 12, 9, "by name and versions", ""),
    "a step of a missing package": (
        "requires: [acme-decode]\nprocessors: [acme-decode/top_a]", 2, 12, 11,
        "acme-decode is not installed", "",
    ),
}
# fmt: on


def only(text: str) -> Problem:
    recipe, problems = check_text(text, "r.yaml", (), Host(""))
    assert recipe is None
    assert len(problems) == 1, problems
    return problems[0]


@pytest.mark.parametrize("case", MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_one_problem_at_its_place(case: tuple[str, int, int, int, str, str]) -> None:
    text, line, column, length, message, remedy = case
    found = only(V + text)
    assert (found.line, found.column, found.length) == (line, column, length)
    assert message in found.message
    assert remedy in found.remedy


# fmt: off
VERSIONS = {
    "missing": ("name: x", 1, 1, "'recipe' is missing", "begin with 'recipe: 1'"),
    "newer": (
        "name: x\nrecipe: 2\nprocessors: [unheard_of]", 2, 9,
        "recipe version 2", "pip install -U decodery",
    ),
    "text": ("recipe: \"1\"", 1, 9, "a number", "write 'recipe: 1'"),
    "a fraction": ("recipe: 1.0", 1, 9, "a number", "write 'recipe: 1'"),
    "truth": ("recipe: true", 1, 9, "a number", "write 'recipe: 1'"),
    "zero": ("recipe: 0", 1, 9, "version", "write 'recipe: 1'"),
    "an empty file": ("", 1, 1, "the recipe is empty", "begin with 'recipe: 1'"),
    "comments only": ("# x\n", 1, 1, "the recipe is empty", "begin with 'recipe: 1'"),
    "a list": ("- eos", 1, 1, "the recipe is a list", "begin with 'recipe: 1'"),
    "text alone": ("greedy", 1, 1, "the recipe is text", "begin with 'recipe: 1'"),
}
# fmt: on


@pytest.mark.parametrize("case", VERSIONS.values(), ids=VERSIONS.keys())
def test_a_file_says_which_version_it_is(case: tuple[str, int, int, str, str]) -> None:
    text, line, column, message, remedy = case
    found = only(text)
    assert (found.line, found.column) == (line, column)
    assert message in found.message
    assert remedy in found.remedy
