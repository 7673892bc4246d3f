"""The fingerprint: what it does and does not depend on."""

from __future__ import annotations

import dataclasses
import hashlib

import pytest

from decodery.recipe.recipe import Recipe

CHAT = """\
# with a comment
recipe: 1
name: a
strategy: {sample: {seed: 42}}
processors:
  - top_k: 40
  - TopPLogitsWarper: {top_p: 0.9}
stop: [eos, max_new_tokens: 256]
"""
SAME = """\
{"recipe": 1, "strategy": {"sample": {"seed": 42}}, "description": "b", "compat": null, "include_stop": false,
 "processors": [{"decodery/top_k": {"top_k": 40, "ties": "keep", "min_tokens_to_keep": 1}}, {"top_p": {"p": 0.9}}]}
"""


def test_the_fingerprint_ignores_how_it_is_written() -> None:
    assert Recipe.loads(CHAT).fingerprint == Recipe.loads(SAME).fingerprint
    assert len(Recipe.loads(CHAT).fingerprint) == 64


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("top_k: 40", "top_k: 41"),
        ("seed: 42", "seed: 43"),
        ("seed: 42", ""),
        ("sample", "greedy"),
        ("256", "255"),
        ("top_k: 40", "top_k: {k: 40, ties: cut}"),
        ("recipe: 1\n", "recipe: 1\ncompat: hf\n"),
        ("eos, ", ""),
        ("recipe: 1\n", "recipe: 1\ninclude_stop: true\n"),
        ("recipe: 1\n", "recipe: 1\non_bad_row: stop_row\n"),
    ],
)
def test_the_fingerprint_changes_with_what_it_means(old: str, new: str) -> None:
    assert old in CHAT
    assert Recipe.loads(CHAT.replace(old, new)).fingerprint != Recipe.loads(CHAT).fingerprint


def test_the_fingerprint_changes_with_order_and_with_a_steps_version() -> None:
    recipe = Recipe.loads(CHAT)
    first, second = recipe.processors
    assert dataclasses.replace(recipe, processors=(second, first)).fingerprint != recipe.fingerprint
    newer = dataclasses.replace(first, spec=dataclasses.replace(first.spec, version=2))
    assert dataclasses.replace(recipe, processors=(newer, second)).fingerprint != recipe.fingerprint


def test_equal_recipes_have_equal_fingerprints_down_to_the_sign_of_zero() -> None:
    plus, minus = (
        Recipe.loads(f"recipe: 1\nprocessors: [sequence_bias: [[[1], {zero}]]]") for zero in ("0.0", "-0.0")
    )
    assert plus == minus
    assert plus.fingerprint == minus.fingerprint


def test_the_fingerprint_is_pinned() -> None:
    """A change here means that every fingerprint people have noted down is void: raise VERSION instead."""
    recipe = Recipe.loads("recipe: 1\nprocessors: [temperature: 0.5]\nstop: [eos]")
    filled = (
        '{"compat":null,"include_stop":false,"on_bad_row":"error",'
        '"processors":[{"name":"temperature","params":{"temperature":0.5},"version":1}],"recipe":1,'
        '"stop":[{"name":"eos","params":{},"version":1}],'
        '"strategy":{"name":"greedy","params":{},"seed":null,"version":1}}'
    )
    assert recipe.fingerprint == hashlib.sha256(filled.encode()).hexdigest()
