"""`decodery generate` with models whose answers are known."""

from __future__ import annotations

import json

import pytest

LOAD = "tiny_models:load"
FLAT = "tiny_models:flat"


def test_a_pipe_gets_the_continuation_and_nothing_else(run):
    outcome = run("generate", "abc", "-m", LOAD, "--max-new-tokens", 5)
    assert (outcome.code, outcome.out, outcome.err) == (0, "defgh\n", "")


def test_without_a_recipe_it_is_greedy(run):
    default = run("generate", "abc", "-m", LOAD, "--max-new-tokens", 5, "--json")
    named = run("generate", "abc", "-m", LOAD, "--max-new-tokens", 5, "--json", "-r", "greedy")
    assert default == named
    assert json.loads(named.out)["recipe"] == "greedy"


def test_prompts_come_from_arguments_files_and_stdin_in_that_order(run, tmp_path):
    (tmp_path / "file.txt").write_text("x\n")
    outcome = run(
        "generate",
        "a",
        "-p",
        tmp_path / "file.txt",
        "-p",
        "-",
        "-m",
        LOAD,
        "--max-new-tokens",
        1,
        "--json",
        stdin=b"m",
    )
    rows = [json.loads(line) for line in outcome.out.splitlines()]
    assert [(row["prompt"], row["text"]) for row in rows] == [("a", "b"), ("x", "y"), ("m", "n")]


def test_an_argument_that_names_a_file_is_told_to_be_a_text(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "abc").write_text("x")
    outcome = run("generate", "abc", "-m", LOAD, "--max-new-tokens", 1)
    assert (outcome.code, outcome.out) == (0, "d\n")
    assert "'abc' is taken for a text: -p abc reads the file" in outcome.err
    assert "taken for a text" not in run("generate", "ab", "-m", LOAD, "--max-new-tokens", 1).err
    assert "-p - reads stdin" in run("generate", "-", "-m", "demo", "--max-new-tokens", 1).err


def test_a_files_final_newline_is_no_part_of_the_prompt_but_others_are(run, tmp_path):
    file = tmp_path / "prompt"
    file.write_bytes(b"ab\r\n")
    assert run("generate", "-p", file, "-m", LOAD, "--max-new-tokens", 1, "--json").out.startswith(
        '{"prompt": "ab"'
    )
    file.write_bytes(b"ab\n\n")
    assert "newline" not in run("generate", "-p", file, "-m", LOAD).out
    assert run("generate", "-p", file, "-m", LOAD).code == 1  # the alphabet has no newline


def test_lines_makes_each_line_a_prompt(run):
    outcome = run(
        "generate", "-p", "-", "--lines", "-m", LOAD, "--max-new-tokens", 2, "--json", stdin=b"a\r\n\n b\n"
    )
    rows = [json.loads(line) for line in outcome.out.splitlines()]
    assert [(row["prompt"], row["text"], row["prompt_index"]) for row in rows] == [
        ("a", "bc", 0),
        (" b", "cd", 1),
    ]


def test_json_lines_tell_everything_of_a_row(run):
    outcome = run(
        "generate",
        "abc",
        "z",
        "-m",
        FLAT,
        "-r",
        "sample",
        "-n",
        2,
        "--seed",
        5,
        "--max-new-tokens",
        4,
        "--json",
    )
    rows = [json.loads(line) for line in outcome.out.splitlines()]
    assert [(row["prompt"], row["prompt_index"], row["sample_index"]) for row in rows] == [
        ("abc", 0, 0),
        ("abc", 0, 1),
        ("z", 1, 0),
        ("z", 1, 1),
    ]
    for row in rows:
        assert set(row) == {
            "prompt",
            "prompt_index",
            "sample_index",
            "text",
            "tokens",
            "finish_reason",
            "seed",
            "model",
            "recipe",
            "fingerprint",
        }
        assert (row["seed"], row["model"], row["recipe"], row["finish_reason"]) == (
            5,
            FLAT,
            "sample",
            "length",
        )
        assert len(row["tokens"]) == len(row["text"]) == 4
        assert len(row["fingerprint"]) == 64


def test_text_of_several_rows_comes_under_headers(run):
    outcome = run("generate", "a", "m", "-m", LOAD, "-n", 2, "--max-new-tokens", 2)
    places = [(0, 0, "bc"), (0, 1, "bc"), (1, 0, "no"), (1, 1, "no")]
    assert outcome.out == "\n".join(f"[prompt {p}, sample {s}]\n{text}\n" for p, s, text in places)


def test_prompts_are_counted_alike_in_headers_json_and_messages(run):
    ids = ("generate", "1 2", "3", "-m", FLAT, "--ids", "--max-new-tokens", 1)
    headers = [line for line in run(*ids).out.splitlines() if line.startswith("[")]
    rows = [json.loads(line) for line in run(*ids, "--json").out.splitlines()]
    assert headers == [f"[prompt {row['prompt_index']}, sample {row['sample_index']}]" for row in rows]
    second = rows[1]["prompt_index"]
    refused = run("generate", "1 2", "1 9999", "-m", FLAT, "--ids")
    assert refused.code == 1
    assert f"prompt {second}, token 1: id 9999" in refused.err
    assert f"prompt {second} " in run("generate", "a", "\udcff", "-m", LOAD).err


@pytest.mark.parametrize("stream", ["--stream", "--no-stream"])
def test_streaming_changes_when_text_comes_and_not_what_comes(run, stream):
    outcome = run(
        "generate", "a", "m", "-m", FLAT, "-r", "sample", "--seed", 3, "--max-new-tokens", 20, stream
    )
    rows = run(
        "generate", "a", "m", "-m", FLAT, "-r", "sample", "--seed", 3, "--max-new-tokens", 20, "--json"
    ).out
    first, second = (json.loads(row)["text"] for row in rows.splitlines())
    assert outcome.out == f"[prompt 0, sample 0]\n{first}\n\n[prompt 1, sample 0]\n{second}\n"


def test_the_reported_seed_repeats_the_run_and_a_fresh_one_is_taken_each_time(run):
    command = ("generate", "a", "-m", FLAT, "-r", "sample", "--max-new-tokens", 40)
    first, second = run(*command), run(*command)
    assert first.err.startswith("seed ")
    assert first.out != second.out
    assert run(*command, "--seed", first.err.split()[1]).out == first.out


def test_a_recipes_own_seed_is_kept_and_the_option_goes_before_it(run):
    command = ("generate", "a", "-m", FLAT, "-r", "sample", "-o", "strategy.seed=11", "--max-new-tokens", 9)
    assert run(*command).err == "seed 11\n"
    assert run(*command, "--seed", 12).err == "seed 12\n"
    assert run(*command).out == run(*command).out != run(*command, "--seed", 12).out


def test_overrides_change_the_recipe(run):
    # One token is left by top_k=1, so sampling from a model with a favourite is counting again.
    command = ("generate", "abc", "-m", "tiny_models:mild", "-r", "chat", "--seed", 1, "--max-new-tokens", 16)
    assert run(*command, "-o", "top_k=1").out == "defghijklmnopqrs\n"
    assert run(*command, "-o", "top_k=28", "-o", "top_p=1.0").out != "defghijklmnopqrs\n"


def test_without_a_tokenizer_prompts_and_results_are_ids(run):
    command = ("generate", "1, 2 3", "-m", "tiny_models:without_tokenizer", "--max-new-tokens", 3)
    refused = run(*command)
    assert (refused.code, refused.out) == (1, "")
    assert "comes without a tokenizer" in refused.err
    assert "--ids" in refused.err
    assert run(*command, "--ids").out == "4 5 6\n"
    row = json.loads(run(*command, "--ids", "--json").out)
    assert (row["prompt"], row["tokens"], row["text"]) == ([1, 2, 3], [4, 5, 6], None)
    assert run(*command, "--ids", "--tokenizer", "tiny_models:Letters").out == "efg\n"


@pytest.mark.parametrize(
    "name", ["tiny_models:instance", "tiny_models:Successor", "tiny_models:without_tokenizer"]
)
def test_a_module_a_class_and_a_function_are_all_models(run, name):
    assert run("generate", "5", "--ids", "-m", name, "--max-new-tokens", 2).out == "6 7\n"


def test_talk_is_on_stderr_when_asked_for_and_quiet_silences_it(run):
    command = ("generate", "a", "-m", FLAT, "-r", "sample", "--max-new-tokens", 3, "--seed", 4)
    assert run(*command).err == "seed 4\n"
    assert run(*command, "-q").err == ""
    told = run(*command, "-v").err
    assert "3 tokens in" in told
    assert "tokens/s" in told
    assert "first token after" in told
    assert run(*command, "-v").out == run(*command, "-q").out


def test_what_a_model_prints_is_no_result(run):
    outcome = run("generate", "abc", "-m", "tiny_models:chatty", "--max-new-tokens", 2)
    assert outcome.out == "de\n"
    assert outcome.err.startswith("loading\nthinking\n")


def test_a_row_that_went_bad_alone_fails_the_run_but_keeps_the_others(run):
    outcome = run(
        "generate",
        "ab",
        "m",
        "-m",
        "tiny_models:poisoned",
        "--max-new-tokens",
        4,
        "--json",
        "-r",
        "bad_rows.yaml",
    )
    assert outcome.code == 1
    first, second = (json.loads(line) for line in outcome.out.splitlines())
    assert (first["text"], first["finish_reason"]) == ("c", "error")
    assert (second["text"], second["finish_reason"]) == ("nopq", "length")
    assert "1 of 2 rows" in outcome.err


def test_rows_that_were_finished_are_kept_when_another_ends_the_run(run):
    # x, y, z ends by its stop string; a, b, c is poisoned one step later.
    outcome = run("generate", "x", "a", "-m", "tiny_models:poisoned", "-r", "stops_at_z.yaml", "--json")
    assert outcome.code == 1
    rows = [json.loads(line) for line in outcome.out.splitlines()]
    assert [(row["prompt"], row["text"], row["finish_reason"]) for row in rows] == [
        ("x", "y", "stop_string"),
        ("a", "bc", "interrupted"),
    ]
    assert "NaN" in outcome.err


# -- a terminal -----------------------------------------------------------------------------------


def test_on_a_terminal_the_dim_prompt_precedes_the_continuation(run_on_terminal):
    outcome = run_on_terminal("generate", "abc", "-m", LOAD, "--max-new-tokens", 3)
    assert outcome.out == "\x1b[2mabc\x1b[0mdef\n"
    assert "tokens/s" in outcome.err


def test_no_color_keeps_a_terminal_plain(run_on_terminal, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    assert run_on_terminal("generate", "abc", "-m", LOAD, "--max-new-tokens", 3).out == "abcdef\n"
    assert "\x1b" not in run_on_terminal("generate", "abc", "-m", "nobody").err


def test_a_model_cannot_command_the_terminal(run_on_terminal, run):
    command = ("generate", "abc", "-m", "tiny_models:escaping", "--max-new-tokens", 1)
    assert run_on_terminal(*command, piped="stderr").out.endswith("\u241b[2Jd\n")
    assert run(*command).out == "\x1b[2Jd\n"  # a pipe gets what the model wrote


def test_a_batch_shows_its_progress_on_stderr_only(run_on_terminal):
    outcome = run_on_terminal("generate", "a", "b", "-m", LOAD, "--max-new-tokens", 30, piped="stdout")
    assert "2 of 2 rows" in outcome.err
    assert "60 tokens" in outcome.err
    assert "100%" in outcome.err
    assert outcome.out.startswith(
        "[prompt 0, sample 0]\nbcdefghijklmnopqrstuvwxyz .abc\n\n[prompt 1, sample 0]\n"
    )
    assert "rows" not in run_on_terminal("generate", "a", "b", "-m", LOAD, "-q", piped="stdout").err


def test_a_row_that_ends_early_counts_as_done_in_the_bar(run_on_terminal):
    command = ("generate", "x", "a", "-m", LOAD, "-r", "stops_at_z.yaml", "--max-new-tokens", 90, "--json")
    outcome = run_on_terminal(*command, piped="stdout")
    assert "100%" in outcome.err  # 2 of 90 tokens, and 25 of 90
