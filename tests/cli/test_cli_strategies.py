"""Strategies from the shell: further models by role, results that a strategy ranks."""

from __future__ import annotations

import json
from typing import Any

MODEL = ("-m", "tiny_models:flat")


def test_a_drafting_model_changes_nothing_in_a_greedy_text(run: Any) -> None:
    greedy = run("generate", "ab", *MODEL, "--max-new-tokens", "6", "--json")
    drafted = run(
        *("generate", "ab", *MODEL, "-o", "strategy=assisted", "--role", "draft=tiny_models:flat"),
        *("--max-new-tokens", "6", "--json"),
    )
    assert drafted.code == greedy.code == 0
    assert json.loads(drafted.out)["tokens"] == json.loads(greedy.out)["tokens"]


def test_a_role_that_is_missing_or_misspelt_is_told(run: Any) -> None:
    missing = run("generate", "ab", *MODEL, "-o", "strategy=assisted")
    assert missing.code == 1
    assert "'assisted' needs a model for the role 'draft'" in missing.err
    assert "--role draft=MODEL" in missing.err
    wrong = run("generate", "ab", *MODEL, "--role", "draft")
    assert wrong.code == 2
    assert "write ROLE=MODEL" in wrong.err


def test_a_strategy_that_ranks_gives_as_many_rows_as_its_recipe_says(run: Any) -> None:
    done = run(
        *("generate", "ab", *MODEL, "-o", "strategy={beam: {num_beams: 3, num_return_sequences: 2}}"),
        *("--max-new-tokens", "4", "--json"),
    )
    assert done.code == 0, done.err
    rows = [json.loads(line) for line in done.out.splitlines()]
    assert [row["sample_index"] for row in rows] == [0, 1]
    assert rows[0]["sequence_score"] >= rows[1]["sequence_score"]


def test_more_rows_than_a_call_can_have_are_refused_at_once(run: Any) -> None:
    done = run("generate", "ab", *MODEL, "-n", "100000000")
    assert done.code == 2
    assert "at most 100,000" in done.err
