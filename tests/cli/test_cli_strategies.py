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


def test_a_model_that_nobody_opens_is_told(run: Any) -> None:
    asked = ("generate", "ab", *MODEL, "--role", "draft=tiny_models:flat", "--max-new-tokens", "2")
    assert "strategy 'greedy' opens no other model: --role is of no use to it" in run(*asked).err
    assert "no use" not in run(*asked, "-o", "strategy=assisted").err


def test_a_copy_of_a_model_with_one_cache_is_asked_for_by_its_role(run: Any) -> None:
    asked = (
        "generate",
        "It was",
        "-m",
        "demo",
        "-o",
        "strategy={mix: {formula: cfg}}",
        "--max-new-tokens",
        "3",
    )
    alone = run(*asked)
    assert (alone.code, alone.out) == (1, "")
    assert "--role negative=MODEL" in alone.err
    assert run(*asked, "--role", "negative=demo").code == 0


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


def test_ctrl_c_prints_what_a_ranking_strategy_had_by_then(run: Any) -> None:
    command = ("generate", "abc", "-m", "tiny_models:interrupting", "-o", "strategy={beam: {num_beams: 2}}")
    text = run(*command)
    assert (text.code, text.out, text.err) == (130, "defghi\n", "interrupted\n")
    row = json.loads(run(*command, "--json").out)
    assert (row["text"], row["tokens"], row["finish_reason"]) == ("defghi", [3, 4, 5, 6, 7, 8], "interrupted")
    assert isinstance(row["sequence_score"], float)


def test_a_further_runs_prompt_comes_from_the_command_line(run: Any) -> None:
    from decodery import Decoder
    from decodery_demo.load import load

    strategy = {"mix": {"formula": "cfg", "guidance_scale": 3.0}}
    command = ("generate", "It was", "-m", "demo", "-o", f"strategy={json.dumps(strategy)}")
    options = ("--role", "negative=demo", "--max-new-tokens", "8", "--json")
    texts = [
        json.loads(run(*command, *options, *given).out)["text"]
        for given in ((), ("--role-prompt", "negative=She said that it had been"))
    ]
    model, tokenizer = load()
    roles = {"negative": load()[0]}
    decoder = Decoder(model, {"recipe": 1, "strategy": strategy}, tokenizer=tokenizer, models=roles)
    prompts = {"negative": "She said that it had been"}
    assert texts[1:] == decoder.generate("It was", max_new_tokens=8, role_prompts=prompts).texts
    assert texts[0] != texts[1]
    wrong = run(*command, "--role-prompt", "negative")
    assert wrong.code == 2
    assert "write ROLE=TEXT" in wrong.err


def test_a_decoder_prompt_is_for_models_with_an_encoder(run: Any) -> None:
    refused = run("generate", "ab", "-m", "tiny_models:load", "--decoder-prompt", "x")
    assert refused.code == 1
    assert "the model has no encoder" in refused.err


def test_a_full_context_stops_or_slides(run: Any) -> None:
    command = ("generate", "abc", "-m", "tiny_models:narrow", "--max-new-tokens", "20", "--json")
    stopped = json.loads(run(*command).out)
    assert stopped["finish_reason"] == "context"
    for how in ("slide", "slide=4"):
        slid = json.loads(run(*command, "--overflow", how).out)
        assert (slid["text"], slid["finish_reason"]) == ("defghijklmnopqrstuvw", "length")
    wrong = run(*command, "--overflow", "slide=0")
    assert wrong.code == 2
    assert "write stop, slide, or slide=512" in wrong.err
