"""What only a process of its own can show: start-up, pipes that close, Ctrl-C, a real terminal."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import decodery

HERE = Path(__file__).parent
DECODERY = [sys.executable, "-m", "decodery"]
HELP = [
    ["--help"],
    ["generate", "--help"],
    ["plugins", "--help"],
    ["plugins", "list", "-h"],
    ["plugins", "show", "-h"],
    ["plugins", "doctor", "-h"],
    ["recipe", "--help"],
    ["recipe", "check", "-h"],
]
LIGHT = [
    ["--version"],
    *HELP,
    ["plugins", "list"],
    ["recipe", "check", "chat"],
    ["plugins", "show", "top_p"],
    ["generate", "x"],
    ["generate", "x", "-m", "m", "-r", "nowhere"],
]
IMPORTS = """
import contextlib, io, json, sys
from decodery.cli.app import main
for argv in json.loads(sys.argv[1]):
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        main(argv)
    print(*({"torch", "transformers", "numpy", "pydantic", "rich", "typer"} & set(sys.modules)))
"""


def imported(commands: list[list[str]]) -> list[set[str]]:
    """What was imported in the process by the end of each of the commands."""
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS, json.dumps(commands)], capture_output=True, text=True, check=True
    )
    return [set(line.split()) for line in done.stdout.splitlines()]


def test_what_needs_no_model_starts_without_torch():
    seen = imported(LIGHT)
    assert len(seen) == len(LIGHT)
    for command, modules in zip(LIGHT, seen, strict=True):
        assert modules.isdisjoint({"torch", "transformers", "numpy"}), command


def test_the_version_and_plain_lists_cost_little():
    version, listed = imported([["--version"], ["plugins", "list"]])
    assert version == set()
    assert "rich" not in listed


def test_the_version_is_the_packages(shell):
    assert shell("--version").out == f"decodery {decodery.__version__}\n"


@pytest.mark.parametrize("arguments", HELP, ids=" ".join)
def test_help_is_for_reading_and_plain_in_a_pipe(arguments, run):
    outcome = run(*arguments)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith("Usage: decodery")
    assert outcome.out.isascii()


def test_help_is_boxed_on_a_terminal(run_on_terminal):
    assert "╭" in run_on_terminal("generate", "--help").out
    assert "…" not in run_on_terminal("generate", "--help").out  # nothing is cut off
    assert "╭" not in run_on_terminal("generate", "--help", piped="stdout").out


def test_a_reader_that_leaves_early_is_no_error():
    command = [*DECODERY, "generate", "a", "-m", "tiny_models:slow", "--max-new-tokens", "40", "--stream"]
    with subprocess.Popen(
        command, cwd=HERE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.read(1) == "b"
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(timeout=60) == 0


def test_help_for_nobody_is_no_error():
    line = f"set -o pipefail; (sleep 0.5; exec {sys.executable} -m decodery --help) | true"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_ctrl_c_keeps_what_was_made_and_exits_130():
    # The first row ends after 2 letters, the second takes 25.
    model = ["-m", "tiny_models:slow", "-r", "stops_at_z.yaml"]
    command = [*DECODERY, "generate", "x", "a", *model, "--json"]
    with subprocess.Popen(
        command, cwd=HERE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        first = json.loads(process.stdout.readline())
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (first["text"], first["finish_reason"]) == ("y", "stop_string")
    [second] = [json.loads(line) for line in out.splitlines()]
    assert second["finish_reason"] == "interrupted"
    assert "bcdefghijklmnopqrstuvwxy".startswith(second["text"])
    assert second["text"]
    assert err == "interrupted\n"
    assert process.returncode == 130


def test_a_closed_stdin_or_stdout_is_told():
    closed = "exec {} -m decodery generate -p - -m nobody {}"
    for redirection, words in (("<&-", "stdin is closed"), (">&-", "stdout is closed")):
        done = subprocess.run(
            ["bash", "-c", closed.format(sys.executable, redirection)],
            capture_output=True,
            text=True,
            check=False,
            input=None,
        )
        assert done.returncode == 1
        assert words in done.stderr
        assert "Traceback" not in done.stderr


def test_without_a_stderr_the_results_still_come():
    line = f"DECODERY_PLUGINS= exec {sys.executable} -m decodery plugins list 2>&-"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "decodery" in done.stdout


def test_an_encoding_without_the_letters_gets_escapes(shell):
    outcome = shell("plugins", "show", "日本", PYTHONIOENCODING="ascii")
    assert outcome.code == 1
    assert "\\u65e5\\u672c" in outcome.err


@pytest.mark.parametrize("streamed", ["--stream", "--no-stream"])
def test_a_locale_without_the_letters_gets_escapes(shell, streamed):
    asked = ("generate", "a", "-m", "tiny_models:japanese", "--max-new-tokens", "3", streamed)
    outcome = shell(*asked, LC_ALL="C", PYTHONUTF8="0")
    assert (outcome.code, outcome.out) == (0, "\\u672c\\u672c\\u672c\n")


def test_a_real_terminal_streams_token_by_token():
    leader, follower = pty.openpty()
    command = [*DECODERY, "generate", "a", "-m", "tiny_models:slow", "--max-new-tokens", "6"]
    env = {**os.environ, "TERM": "xterm", "NO_COLOR": ""}
    with subprocess.Popen(
        command, cwd=HERE, stdin=follower, stdout=follower, stderr=subprocess.DEVNULL, env=env
    ):
        os.close(follower)
        chunks = []
        while True:
            try:
                chunk = os.read(leader, 1024)
            except OSError:  # the other end is closed
                break
            chunks.append(chunk.decode())
    os.close(leader)
    assert "".join(chunks).replace("\r", "") == "\x1b[2ma\x1b[0mbcdefg\n"
    assert len(chunks) > 4
