"""The planner's words: what a lowering may say, and what it is told when it says something else."""

from __future__ import annotations

import subprocess
import sys

import pytest

from decodery.contracts.errors import PluginError
from decodery.contracts.lowering import Edit, Fixed, Map, Truncation, as_lowered


def test_the_words_are_spoken_without_torch() -> None:
    code = "import sys, decodery.contracts.lowering; raise SystemExit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_answer_is_one_word_several_none_or_nothing_to_do() -> None:
    word, ban = Map("temperature", 0.8), Edit(Fixed((3,), (float("-inf"),)), "set")
    assert as_lowered(word, "step") == (word,)
    assert as_lowered((ban, word), "step") == (ban, word)
    assert as_lowered((), "step") == ()
    assert as_lowered(None, "step") is None


def test_anything_else_is_refused_by_the_name_of_the_step() -> None:
    with pytest.raises(PluginError, match="'acme_step' returned list"):
        as_lowered([Map("temperature", 0.8)], "acme_step")


def test_a_callable_belongs_to_the_kind_custom_alone() -> None:
    with pytest.raises(PluginError, match="'keep' belongs"):
        Truncation("custom", 0.5)
    with pytest.raises(PluginError, match="'apply' belongs"):
        Map("temperature", 0.5, apply=lambda values: values)
