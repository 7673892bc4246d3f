"""`decodery chat`, a message a line, with models whose answers are known."""

from __future__ import annotations

import json
from typing import Any

import pytest

from decodery import Recipe

LOAD, NARROW = ("-m", "chat_models:load"), ("-m", "chat_models:narrow")
GREEDY = ("-r", "greedy")


@pytest.fixture
def chat(run: Any) -> Any:
    """Runs `decodery chat` with these lines typed into its pipe."""

    def chat(*lines: str, options: tuple[str, ...] = (*LOAD, *GREEDY)) -> Any:
        return run("chat", *options, stdin="".join(f"{line}\n" for line in lines).encode())

    return chat


def test_each_line_of_a_pipe_gets_an_answer_and_the_whole_conversation_is_fed_back(chat):
    outcome = chat("Hello", "", "  ", "And now?", "Well?")
    assert (outcome.code, outcome.out) == (0, "I heard 1.\nI heard 2.\nI heard 3.\n")
    assert "has no chat template" in outcome.err


def test_a_model_with_a_cache_is_fed_what_is_new(chat):
    import chat_models

    counts = []
    for lines in (["Hello"], ["Hello", "x" * 40], ["Hello", "x" * 40, "y"]):
        chat_models.Remembering.fed = 0
        outcome = chat(*lines, options=("-m", "chat_models:remembering", *GREEDY))
        assert outcome.out == "".join(f"I heard {n + 1}.\n" for n in range(len(lines)))
        counts.append(chat_models.Remembering.fed)
    # The third message and its answer, and no more of the 40 letters before than the end of the answer to them.
    assert counts[2] - counts[1] < 60
    assert counts[1] - counts[0] > 60


def test_a_model_is_shown_a_transcript_that_ends_where_its_answer_begins(chat):
    import chat_models

    seen = []
    original = chat_models.counts
    chat_models.counts = lambda before: seen.append(before) or original(before)
    try:
        chat("Hello ", "So?", options=(*LOAD, *GREEDY, "--system", "Be brief."))
    finally:
        chat_models.counts = original
    assert seen[0] == "Be brief.\n\nUser: Hello\n"
    assert seen[-1] == "Be brief.\n\nUser: Hello\nAssistant: I heard 1.\nUser: So?\n"


def test_an_answer_of_many_bytes_a_character_is_streamed_whole(chat):
    assert chat("何語？", options=("-m", "chat_models:japanese", *GREEDY)).out == "日本語です。\n"


def test_the_recipe_is_changed_from_the_next_answer_on(chat):
    outcome = chat("/set max_new_tokens 4", "Hello", "/set max_new_tokens=6", "Hello")
    assert outcome.out == "I h\nI hea\n"  # less the space in front, which is a token, too
    assert "max_new_tokens: 256 -> 4" in outcome.err


@pytest.mark.parametrize(
    ("line", "column", "words"),
    [
        ("/set top_p 1.5", 12, "less than or equal to 1"),
        ("/set top_p=1.5", 12, "less than or equal to 1"),
        ("/set top_q 3", 6, "did you mean 'top_p'?"),
        ("/set temperature   'warm'", 20, "temperature"),
    ],
)
def test_a_bad_value_is_told_at_once_where_it_stands_and_changes_nothing(chat, line, column, words):
    outcome = chat(line, "/recipe", "Hello", options=(*LOAD, "-r", "chat", "-o", "top_k=1"))
    assert outcome.code == 1
    assert words in outcome.err
    assert f" --> /set:1:{column}" in outcome.err
    shown, caret = outcome.err.split("1 | ")[1].splitlines()[:2]
    assert shown == line
    assert caret.index("^") - caret.index("|") - 2 == column - 1
    assert "1 problem found; nothing was changed." in outcome.err
    assert "top_p: 0.95" in outcome.out
    assert outcome.out.endswith("I heard 1.\n")


def test_the_recipe_in_force_is_shown_and_saved_as_yaml_that_loads_again(chat, tmp_path):
    file = tmp_path / "mine.yaml"
    outcome = chat("/set top_p 0.8", "/recipe", f"/save {file}", options=(*LOAD, "-r", "chat"))
    assert outcome.code == 0
    saved = Recipe.load(file)
    assert saved == Recipe.loads(outcome.out)
    assert saved == Recipe.loads(file.read_text())
    assert "top_p: 0.8" in file.read_text()
    # What ends an answer belongs to what is in force.
    assert '"\\nUser:"' in file.read_text()


def test_stop_strings_of_the_recipe_are_kept_beside_the_transcripts(chat, tmp_path):
    file = tmp_path / "r.yaml"
    file.write_text("recipe: 1\nstop: [eos, {max_new_tokens: 90}, {stop_strings: [heard]}]\n")
    outcome = chat("Hello", "/recipe", options=(*LOAD, "-r", str(file)))
    assert outcome.out.startswith("I\n")
    assert 'stop_strings: [heard, "\\nUser:", "\\nAssistant:"]' in outcome.out


def test_another_recipe_can_be_taken_up(chat):
    outcome = chat("/recipe creative", "/recipe", options=(*LOAD, "-r", "chat"))
    assert "name: creative" in outcome.out
    assert '"\\nUser:"' in outcome.out
    assert chat("/recipe nobodys").code == 1


def test_a_conversation_is_saved_as_messages_and_loaded_again(chat, tmp_path):
    file = tmp_path / "talk.json"
    chat("Hello", "Et tu, “Brute”?", f"/save {file}", options=(*LOAD, *GREEDY, "-s", "Be brief."))
    assert json.loads(file.read_text(encoding="utf-8")) == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "I heard 1."},
        {"role": "user", "content": "Et tu, “Brute”?"},
        {"role": "assistant", "content": "I heard 2."},
    ]
    outcome = chat(f"/load {file}", "/system", "And?")
    assert outcome.out == "Be brief.\nI heard 3.\n"


def test_a_file_that_is_there_is_written_over_only_on_demand(chat, tmp_path):
    file = tmp_path / "talk.json"
    file.write_text("precious")
    refused = chat(f"/save {file}")
    assert (refused.code, file.read_text()) == (1, "precious")
    assert f"/save! {file} writes over it" in refused.err
    assert chat(f"/save! {file}").code == 0
    assert file.read_text() == "[]\n"


@pytest.mark.parametrize(
    "text",
    [
        "no json",
        "{}",
        '[{"role": "user"}]',
        '[{"role": "user", "content": "a"}]',
        '[{"role": "assistant", "content": "a"}]',
        '[{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]',
        '[{"role": "tool", "content": "a"}]',
        "[" * 100_000,
    ],
)
def test_what_is_no_conversation_is_told_and_the_old_one_stays(chat, tmp_path, text):
    file = tmp_path / "talk.json"
    file.write_text(text)
    outcome = chat("Hello", f"/load {file}", "And?")
    assert (outcome.code, outcome.out) == (1, "I heard 1.\nI heard 2.\n")
    assert "error: " in outcome.err
    assert "Traceback" not in outcome.err


def test_clear_forgets_what_was_said_but_not_the_system_text(chat):
    outcome = chat(
        "Hello", "Hello", "/clear", "Hello", "/system", options=(*LOAD, *GREEDY, "-s", "Be brief.")
    )
    assert outcome.out == "I heard 1.\nI heard 2.\nI heard 1.\nBe brief.\n"


def test_an_answer_is_made_once_more_or_taken_back(chat):
    outcome = chat("Hello", "And?", "/retry", "/undo", "And?", "/undo", "/undo", "/undo")
    assert outcome.out == "I heard 1.\nI heard 2.\nI heard 2.\nI heard 2.\n"
    assert "nothing was said so far" in outcome.err


def test_a_second_try_draws_other_numbers_and_the_seed_repeats_the_chat(chat):
    options = ("-m", "chat_models:flat", "-r", "sample", "--max-new-tokens", "30")
    first = chat("Hello", "/retry", options=options)
    one, two = first.out.splitlines()[:2]
    assert one != two
    [seed] = [line.split()[1] for line in first.err.splitlines() if line.startswith("seed ")]
    assert chat("Hello", "/retry", options=(*options, "--seed", seed)).out == first.out
    assert chat("Hello", "/retry", options=(*options, "-o", f"strategy.seed={seed}")).out == first.out


def test_the_first_answer_is_what_generate_makes_of_the_same_text(chat, run):
    options = ("-m", "chat_models:flat", "-r", "sample", "--max-new-tokens", "20", "--seed", "5")
    generated = run("generate", "Hello", *options)
    assert chat("Hello", options=(*options, "--template", "none")).out == generated.out


def test_the_oldest_turns_are_left_out_when_the_context_is_full_and_that_is_said(chat, tmp_path):
    file = tmp_path / "talk.json"
    outcome = chat("Hello one", "Hello two", "Three", "Four", f"/save {file}", options=(*NARROW, *GREEDY))
    assert outcome.code == 0
    assert outcome.out == "I heard 1.\nI heard 2.\nI heard 2.\nI heard 2.\n"
    assert outcome.err.count("(the oldest turn is left out: the context has room for 96 tokens)") == 2
    assert len(json.loads(file.read_text())) == 8  # nothing is lost but to the model


def test_a_message_that_never_fits_is_refused_and_the_chat_goes_on(chat):
    outcome = chat("Hello", "x" * 100, "Hello", options=(*NARROW, *GREEDY))
    assert (outcome.code, outcome.out) == (1, "I heard 1.\nI heard 2.\n")
    assert "the model's context is 96" in outcome.err


def test_ctrl_c_stops_the_answer_and_what_was_said_stays(chat, tmp_path):
    file = tmp_path / "talk.json"
    outcome = chat("Hello", "And?", f"/save {file}", options=("-m", "chat_models:interrupted", *GREEDY))
    assert (outcome.code, outcome.out) == (0, "a long\na long story\n")
    assert "(stopped)" in outcome.err
    assert [message["content"] for message in json.loads(file.read_text())] == [
        "Hello",
        "a long",
        "And?",
        "a long story",
    ]


def test_a_model_that_fails_ends_no_chat(chat):
    outcome = chat("Hello", "fail", "Hello", options=("-m", "chat_models:failing", *GREEDY))
    assert (outcome.code, outcome.out) == (1, "I heard 1.\n\nI heard 2.\n")
    assert "the weights are tired" in outcome.err
    assert "Traceback" not in outcome.err


def test_long_messages_and_messages_with_a_slash_can_be_typed(chat, tmp_path):
    file = tmp_path / "talk.json"
    chat("one\\", "two", "//etc is a place", f"/save {file}")
    said = [m["content"] for m in json.loads(file.read_text()) if m["role"] == "user"]
    assert said == ["one\ntwo", "/etc is a place"]


def test_help_lists_every_command_and_unknown_ones_are_told(chat):
    outcome = chat("/help", "/sav x", "/", "/exit", "Hello")
    for name in ("/set NAME VALUE", "/recipe", "/save FILE", "/load", "/clear", "/system", "/help", "/exit"):
        assert name in outcome.out
    assert "did you mean /save?" in outcome.err
    assert "heard" not in outcome.out


def test_bytes_that_are_no_text_are_told_and_the_chat_goes_on(run):
    outcome = run("chat", *LOAD, *GREEDY, stdin=b"\xff\xfe\nHello\n")
    assert (outcome.code, outcome.out) == (1, "I heard 1.\n")
    assert "is not UTF-8: byte 0xff" in outcome.err


def test_the_demo_model_says_what_it_is_before_it_says_anything_else(run):
    outcome = run("chat", "-m", "demo", "--max-new-tokens", 5, "--seed", 1, stdin=b"Hello\n")
    assert outcome.code == 0
    assert outcome.out.strip()
    assert outcome.err.startswith("demo: a 7-million-parameter decoder trained on 22 English novels")
    assert "only play along" in outcome.err
    quiet = run("chat", "-m", "demo", "--max-new-tokens", 5, "--seed", 1, "-q", stdin=b"Hello\n")
    assert (quiet.out, quiet.err) == (outcome.out, "")


def test_a_function_that_gives_no_tokenizer_is_named(run):
    outcome = run("chat", "-m", "tiny_models:load", "--tokenizer", "builtins:print", stdin=b"")
    assert outcome.code == 1
    assert "--tokenizer 'builtins:print' gives None" in outcome.err


def test_a_model_without_a_tokenizer_is_refused(run):
    outcome = run("chat", "-m", "tiny_models:without_tokenizer", stdin=b"")
    assert outcome.code == 1
    assert "--tokenizer names one" in outcome.err
    named = run(
        "chat", "-m", "tiny_models:without_tokenizer", "--tokenizer", "tiny_models:Letters", stdin=b""
    )
    assert named.code == 0


def test_a_template_that_cannot_be_read_is_told_before_anybody_talks(run, tmp_path):
    outcome = run("chat", *LOAD, "--template", "chatml", stdin=b"Hello\n")
    assert (outcome.code, outcome.out) == (1, "")
    assert "auto, transcript, none, or a file" in outcome.err
    (tmp_path / "bad.jinja").write_text("{% for %}")
    outcome = run("chat", *LOAD, "--template", tmp_path / "bad.jinja", stdin=b"Hello\n")
    assert (outcome.code, outcome.out) == (1, "")
    assert "the chat template refuses" in outcome.err


def test_a_template_in_a_file_is_for_any_tokenizer(chat, tmp_path):
    file = tmp_path / "mine.jinja"
    file.write_text(
        "{% for m in messages %}{{ m.role.capitalize() }}: {{ m.content }}\nUser: {% endfor %}"
        "{% if add_generation_prompt %}Assistant:{% endif %}"
    )
    # What the template puts behind an answer ends one.
    assert chat("Hello", options=(*LOAD, *GREEDY, "--template", str(file))).out == "I heard 2.\n"


def test_a_tokenizer_of_ones_own_may_have_a_template_of_its_own(chat):
    outcome = chat("Hello", options=("-m", "chat_models:templated", *GREEDY, "-s", "Be brief."))
    assert outcome.out == "You: [system] Be brief.\n"  # up to where the template ends an answer
    assert "no chat template" not in outcome.err


def test_what_a_tokenizer_prints_is_no_answer_and_ctrl_c_in_it_ends_no_chat(chat):
    outcome = chat("Hello", "wait", "Hello", options=("-m", "chat_models:chatty", *GREEDY))
    assert (outcome.code, outcome.out) == (0, "I heard 1.\nI heard 2.\n")
    assert "encoding\n" in outcome.err
    assert "(stopped)" in outcome.err


@pytest.mark.parametrize("given", [(), ("--seed", "5")])
def test_a_seed_that_is_set_is_taken(chat, given):
    options = ("-m", "chat_models:flat", "-r", "sample", "--max-new-tokens", "20", *given)
    first = chat("Hello", "/undo", "/set strategy.seed 7", "Hello", options=options).out
    second = chat("/set strategy.seed 7", "Hello", "/undo", "Hello", options=options).out
    assert (
        first.encode("ascii", "replace").splitlines()[-1:]
        == second.encode("ascii", "replace").splitlines()[-1:]
    )


def test_what_ends_an_answer_is_no_part_of_it_whatever_the_recipe_includes(chat, tmp_path):
    file = tmp_path / "r.yaml"
    file.write_text("recipe: 1\ninclude_stop: true\n")
    assert chat("Hello", "So?", options=(*LOAD, "-r", str(file))).out == "I heard 1.\nI heard 2.\n"


@pytest.mark.parametrize("strategy", ["{beam: {num_beams: 3, num_return_sequences: 2}}", "best_of", "greedy"])
@pytest.mark.parametrize("recipe", ["greedy", "hf"])
def test_any_strategy_and_any_layout_of_rows_can_chat(chat, strategy, recipe):
    outcome = chat("Hello", "So?", options=(*LOAD, "-r", recipe, "-o", f"strategy={strategy}"))
    assert (outcome.code, outcome.out) == (0, "I heard 1.\nI heard 2.\n"), outcome.err


def test_a_conversation_of_thousands_of_turns_is_fitted_in_a_few_tries():
    from dataclasses import replace

    from decodery.cli.chat.conversation import Conversation, Turn

    tries = []

    def encode(messages):
        tries.append(len(messages))
        return [0] * sum(len(message["content"]) for message in messages)

    talk = Conversation(turns=tuple(Turn("12345", "12345") for _ in range(5000))).asked("12345")
    for context, room, kept in ((100, 20, 7), (100, 25, 7), (100, 26, 6), (10**6, 20, 5000), (None, 0, 5000)):
        tries.clear()
        fitted, ids = talk.fitted(encode, context, room)
        assert len(fitted.turns) - fitted.left_out - 1 == kept
        assert len(ids) == 10 * kept + 5
        assert len(tries) < 20
    # What was left out once stays out.
    assert replace(talk, left_out=4990).fitted(encode, 10**6, 0)[0].left_out == 4990


def test_a_second_ctrl_c_while_an_answer_is_tidied_up_loses_nothing_of_it(chat, tmp_path, monkeypatch):
    from decodery.cli.chat import session

    pressed = []

    def stop(_):
        pressed.append(1)
        raise KeyboardInterrupt

    file = tmp_path / "talk.json"
    monkeypatch.setattr(session.Clock, "stop", stop)
    outcome = chat("Hello", f"/save {file}", options=("-m", "chat_models:interrupted", *GREEDY))
    assert "(stopped)" in outcome.err
    said = [message["content"] for message in json.loads(file.read_text())]
    assert said[0] == "Hello"
    assert "a long story".startswith(said[1])
    assert (len(said), pressed) == (2, [1])


def test_a_model_that_calls_sys_exit_ends_its_answer_and_not_the_chat(chat):
    outcome = chat("leave", "Hello", options=("-m", "chat_models:failing", *GREEDY))
    assert outcome.code == 1
    assert outcome.out.endswith("I heard 1.\n")
    assert outcome.err.splitlines()[-2].startswith("error: chat_models.py:")
    assert "SystemExit: 5" in outcome.err


def test_what_cannot_be_written_empties_no_file(chat, tmp_path):
    bad, kept = tmp_path / "bad.json", tmp_path / "kept.json"
    bad.write_text(r'[{"role": "user", "content": "\ud800"}, {"role": "assistant", "content": "so"}]')
    kept.write_text("dear to me")
    outcome = chat(f"/load {bad}", f"/save! {kept}")
    assert outcome.code == 1
    assert f"{str(kept)!r} cannot be written" in outcome.err
    assert kept.read_text() == "dear to me"
