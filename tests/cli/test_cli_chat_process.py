"""`decodery chat` where a person sits: a terminal of its own, Ctrl-C, Ctrl-D."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pty = pytest.importorskip("pty")
HERE = Path(__file__).parent
PATIENCE = 60


class Person:
    """Types on a terminal and reads what stands there."""

    def __init__(self, *options: str) -> None:
        self.screen, self._begin = "", 0
        pid, self._terminal = pty.fork()
        if pid == 0:
            os.chdir(HERE)
            os.environ.update(TERM="dumb", NO_COLOR="1", OMP_NUM_THREADS="1")
            os.execv(sys.executable, [sys.executable, "-m", "decodery", "chat", *options])
        self.pid = pid

    def sees(self, text: str) -> None:
        """Wait until `text` comes up behind what was seen before."""
        end = time.monotonic() + PATIENCE
        while text not in self.screen[self._begin :]:
            assert time.monotonic() < end, f"{text!r} never came: {self.screen!r}"
            ready, _, _ = select.select([self._terminal], [], [], 1)
            if ready:
                try:
                    self.screen += os.read(self._terminal, 4096).decode(errors="replace")
                except OSError:  # the other end is gone
                    assert text in self.screen[self._begin :], self.screen
        self._begin = self.screen.index(text, self._begin) + len(text)

    def types(self, text: str) -> None:
        os.write(self._terminal, text.encode())

    def leaves_with(self) -> int:
        """The exit code."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if select.select([self._terminal], [], [], 0.1)[0]:
                with contextlib.suppress(OSError):
                    self.screen += os.read(self._terminal, 4096).decode(errors="replace")
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                os.close(self._terminal)
                return os.waitstatus_to_exitcode(status)
        os.kill(self.pid, signal.SIGKILL)
        raise AssertionError(self.screen)


@pytest.fixture(scope="module")
def talk() -> str:
    """One chat, from its greeting to its end: Ctrl-C in an answer, in a half-typed line, at an empty prompt."""
    person = Person("-m", "chat_models:slow", "-r", "greedy")
    person.sees("/help lists the commands")
    person.sees("> ")
    person.types("Hello\n")
    person.sees("one two")
    person.types("\x03")
    person.sees("(stopped)")
    person.sees("> ")
    person.types("half a li")
    person.sees("half a li")
    time.sleep(0.8)  # later than any Ctrl-C that was meant for the answer
    person.types("\x03")
    person.sees("> ")
    person.types("/save nowhere/talk.json\n")
    person.sees("cannot be written")
    person.sees("> ")
    person.types("And then?\n")
    person.sees("seven eight")
    person.sees("> ")
    time.sleep(0.8)
    person.types("\x03")
    assert person.leaves_with() == 0, person.screen
    return person.screen


def test_ctrl_c_stops_an_answer_and_not_the_chat(talk: str) -> None:
    first = talk.partition("Hello\r\n")[2].partition("(stopped)")[0]
    assert first.startswith("one two")
    assert "eight" not in first
    assert "one two three four five six seven eight" in talk.partition("And then?\r\n")[2]


def test_ctrl_c_drops_a_line_that_was_begun(talk: str) -> None:
    assert talk.count("half a li") == 1
    assert "nowhere/talk.json' cannot be written" in talk


def test_leaving_is_quiet(talk: str) -> None:
    assert "Traceback" not in talk
    assert "interrupted" not in talk
    assert talk.endswith("\r\n")


def test_ctrl_d_leaves_a_chat() -> None:
    person = Person("-m", "chat_models:load", "-r", "greedy", "-q")
    person.sees("> ")
    person.types("Hello\n")
    person.sees("I heard 1.")
    person.sees("> ")
    person.types("\x04")
    assert person.leaves_with() == 0
    assert "Traceback" not in person.screen


def test_an_interrupted_answer_from_a_pipe_gives_way_to_the_next_line() -> None:
    command = [sys.executable, "-m", "decodery", "chat", "-m", "chat_models:slow", "-r", "greedy"]
    with subprocess.Popen(
        command, cwd=HERE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write(b"Hello\nAnd then?\n")
        process.stdin.close()
        begun = process.stdout.read1(5)  # it streams: this comes while the rest is being made
        process.send_signal(signal.SIGINT)
        out, err = process.stdout.read(), process.stderr.read()
        assert process.wait(PATIENCE) == 0
    first, second = (begun + out).decode().splitlines()
    assert "one two three four five six seven eight".startswith(first)
    assert second == "one two three four five six seven eight"
    assert b"(stopped)" in err
    assert b"Traceback" not in err
