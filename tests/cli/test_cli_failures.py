"""Nasty input: one message that names what was wrong, the right exit code, and never a traceback."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

import decodery
from decodery.cli.app import main
from decodery.cli.console import Console
from decodery.cli.messages import message
from decodery.contracts.errors import DecoderyError

G = ("generate", "abc", "-m")
NASTY = [
    # the command line: 2
    (("generate", "abc"), 2, "there is no model"),
    (("generate", "-m", "tiny_models:load"), 2, "there is no prompt"),
    (("generate", "abc", "-m", "tiny_models:load", "--lines"), 2, "--lines needs a file"),
    (("generate", "abc", "-m", "tiny_models:load", "--json", "--stream"), 2, "leave --stream out"),
    (("generate", "abc", "-m", "tiny_models:load", "--nope"), 2, "--nope"),
    (("generate", "abc", "-m", "tiny_models:load", "-n", "0"), 2, "--samples"),
    (("generate", "abc", "-m", "tiny_models:load", "--seed", "-1"), 2, "--seed"),
    (("generate", "abc", "-m", "tiny_models:load", "--seed", str(2**64)), 2, "--seed"),
    (("generate", "abc", "-m", "tiny_models:load", "--max-new-tokens", "many"), 2, "--max-new-tokens"),
    (("generat", "abc"), 2, "generat"),
    (("recipe", "check"), 2, "FILE"),
    (("plugins", "show"), 2, "NAME"),
    # models: 1
    ((*G, "nobody"), 1, "unknown model 'nobody'"),
    ((*G, "meta-llama/Llama-3"), 1, "nothing is downloaded"),
    ((*G, ""), 1, "-m '' is no directory"),
    ((*G, ":"), 1, "package.module:function"),
    ((*G, "tiny_models.py:load"), 1, "no .py"),
    ((*G, "./tiny_models:load"), 1, "dots instead of slashes"),
    ((*G, "tiny_models:lod"), 1, "has no 'lod'"),
    ((*G, "no_such_module:load"), 1, "no module 'no_such_module'"),
    ((*G, "json.nothing:load"), 1, "no module 'json.nothing'"),
    ((*G, "nasty_import:load"), 1, "ZeroDivisionError: division by zero"),
    ((*G, "nasty_dependency:load"), 1, "'a_library_nobody_has', which is not installed"),
    ((*G, "nasty_exit:load"), 1, "SystemExit"),
    ((*G, "tiny_models:fails"), 1, "ValueError: the weights are gone\n"),
    ((*G, "tiny_models:leaves"), 1, "SystemExit: 0"),
    ((*G, "tiny_models:nothing"), 1, "gives a NoneType, not a model"),
    ((*G, "tiny_models:weights"), 1, "gives a dict, not a model"),
    ((*G, "tiny_models:needs"), 1, "missing a required argument: 'path'"),
    ((*G, "tiny_models:ALPHABET"), 1, "gives a str, not a model"),
    ((*G, "tiny_models:poisoned"), 1, "NaN"),
    ((*G, "./nowhere"), 1, "'./nowhere' is no directory"),
    ((*G, "conftest.py"), 1, "'conftest.py' is no directory"),
    ((*G, "."), 1, "without config.json"),
    ((*G, "tiny_models:load", "--tokenizer", "nowhere"), 1, "'nowhere': no such file or directory"),
    ((*G, "tiny_models:load", "--tokenizer", "conftest.py"), 1, "is no tokenizer.json"),
    ((*G, "tiny_models:load", "--tokenizer", "tiny_models:instance"), 1, "Successor is no tokenizer"),
    ((*G, "tiny_models:load", "--adapter", "nope"), 1, "unknown adapter 'nope'"),
    ((*G, "tiny_models:load", "--device", "warp"), 1, "warp"),
    # prompts: 1
    (("generate", "", "-m", "tiny_models:load"), 1, "prompt 0 is empty"),
    (("generate", "ABC", "-m", "tiny_models:load"), 1, "ValueError: substring not found"),
    (("generate", "a\udcff", "-m", "tiny_models:load"), 1, "is not valid text"),
    (("generate", "1 two", "--ids", "-m", "tiny_models:load"), 1, "'two' is not a token id"),
    (("generate", "1 99", "--ids", "-m", "tiny_models:load"), 1, "99"),
    (("generate", "9" * 5000, "--ids", "-m", "tiny_models:load"), 1, "is not a token id"),
    (("generate", "-p", "nowhere", "-m", "tiny_models:load"), 1, "'nowhere' cannot be read"),
    (("generate", "-p", ".", "-m", "tiny_models:load"), 1, "'.' cannot be read"),
    (("generate", "-p", "nasty.bin", "-m", "tiny_models:load"), 1, "not UTF-8: byte 0xff at offset 1"),
    (("generate", "-p", "-", "--lines", "-m", "tiny_models:load"), 1, "every line is blank"),
    # recipes: 1
    ((*G, "tiny_models:load", "-r", "nowhere.yaml"), 1, "nowhere.yaml"),
    ((*G, "tiny_models:load", "-r", ""), 1, "unknown recipe ''"),  # an empty variable of the shell's
    (("chat", "-m", "tiny_models:load", "-r", ""), 1, "unknown recipe ''"),
    ((*G, "tiny_models:load", "-r", "chatt"), 1, "did you mean 'chat'?"),
    ((*G, "tiny_models:load", "-r", "nasty.yaml"), 1, "did you mean 'top_p'?"),
    ((*G, "tiny_models:load", "-r", "./nasty.bin"), 1, "UTF-8"),
    ((*G, "tiny_models:load", "-o", "top_p"), 1, "top_p"),
    ((*G, "tiny_models:load", "-r", "chat", "-o", "top_p=1.5"), 1, "1.5"),
    (("plugins", "show", "no-such-plugin"), 1, "no-such-plugin"),
]


@pytest.fixture
def nasty_files(run, tmp_path, monkeypatch):
    (tmp_path / "nasty_import.py").write_text("1 / 0\n")
    (tmp_path / "nasty_dependency.py").write_text("import a_library_nobody_has\n")
    (tmp_path / "nasty_exit.py").write_text("raise SystemExit(0)\n")
    (tmp_path / "nasty.bin").write_bytes(b"a\xff\xfe")
    (tmp_path / "nasty.yaml").write_text("recipe: 1\nprocessors:\n  - topp: 0.9\n")
    (tmp_path / "conftest.py").write_text("")
    monkeypatch.setenv("DECODERY_PLUGINS", "")
    monkeypatch.chdir(tmp_path)
    yield
    for name in [name for name in sys.modules if name.startswith("nasty_")]:
        del sys.modules[name]


@pytest.mark.parametrize(("argv", "code", "words"), NASTY, ids=lambda value: repr(value)[:60])
def test_it_is_told_in_words_with_the_right_exit_code(argv, code, words, run, nasty_files):
    outcome = run(*argv)
    assert outcome.code == code
    assert words in outcome.err
    assert outcome.out == ""
    assert "Traceback" not in outcome.err
    assert "internal error" not in outcome.err
    if code == 1:
        assert "= help: " in outcome.err


def test_what_was_generated_before_a_failure_is_kept(run):
    outcome = run("generate", "abc", "-m", "tiny_models:raising", "--max-new-tokens", 9)
    assert (outcome.code, outcome.out) == (1, "defghi\n")
    assert "RuntimeError: the ninth column" in outcome.err


def test_demo_is_a_pip_line_away_when_it_is_not_installed(run, monkeypatch):
    monkeypatch.setattr("decodery.host.registry.discover", lambda selection: [])
    outcome = run("generate", "x", "-m", "demo")
    assert outcome.err == "error: unknown model 'demo'\n  = help: pip install decodery-demo\n"
    assert "pip install decodery-demo gives -m demo" in run("generate", "x").err


def test_an_installed_model_is_named_when_none_was_asked_for(shell, install):
    site = install(
        "acme-models",
        """
from decodery import hookimpl
from decodery.contracts.specs import ModelSpec

@hookimpl
def provide_models():
    return [ModelSpec("acme_tiny", "tiny_models:load")]
""",
    )
    assert "-m acme_tiny" in shell("generate", "x", PYTHONPATH=str(site)).err


def test_a_broken_plugin_is_one_line_of_talk_and_stops_nothing(shell, install):
    site = install("acme-shaky", "raise RuntimeError('no luck')")
    command = ("generate", "abc", "-m", "nobody")
    told = shell(*command, PYTHONPATH=str(site)).err
    assert told.count("acme-shaky cannot be imported: RuntimeError: no luck") == 1
    assert "broken plugins: acme-shaky (see 'decodery plugins doctor')" in told
    assert "no luck" not in shell(*command, "-q", PYTHONPATH=str(site)).err
    assert shell("plugins", "doctor", PYTHONPATH=str(site)).err.count("no luck") == 0  # it is a result there


def test_an_error_of_ours_is_called_internal_and_debug_shows_its_traceback(run, monkeypatch):
    monkeypatch.setattr("decodery.cli.plugins.listing.headed", lambda info: object())
    outcome = run("plugins", "list")
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err == (
        "internal error: AttributeError: 'object' object has no attribute 'values'\n"
        "  = help: DECODERY_DEBUG=1 shows the traceback\n"
    )
    monkeypatch.setenv("DECODERY_DEBUG", "1")
    assert "Traceback" in run("plugins", "list").err


def raised(code: str, filename: Path, **names: object) -> str:
    """What is said of the exception that `code` in the file `filename` raises."""
    with pytest.raises(Exception) as caught:  # noqa: PT011
        exec(compile(code, str(filename), "exec"), names)
    return message(caught.value)


def test_what_the_libraries_refuse_is_the_fault_of_whoever_asked():
    package = Path(decodery.__file__).parent
    ours, theirs = package / "engine" / "run.py", Path("/home/somebody/model.py")
    for code in ("import json; json.loads('{')", "import torch; torch.nn.Linear(2, 2)(torch.ones(3))"):
        assert raised(code, ours).startswith("internal error: ")
        called = raised("call()", ours, call=lambda code=code: exec(compile(code, str(theirs), "exec")))
        assert called.startswith("error: model.py:1, in <module>: ")


def test_debug_shows_where_a_users_module_failed(run, monkeypatch):
    monkeypatch.setenv("DECODERY_DEBUG", "1")
    err = run("generate", "abc", "-m", "tiny_models:fails").err
    assert re.search(r'tiny_models.py", line \d+, in fails', err)
    assert "and this is a second line" in err


@pytest.mark.parametrize(
    "error", [MemoryError(), type("OutOfMemoryError", (RuntimeError,), {})("CUDA out of memory")]
)
def test_running_out_of_memory_has_a_remedy(run, monkeypatch, error):
    def fail(*args: object, **kwargs: object) -> None:
        raise error

    monkeypatch.setattr("decodery.engine.decoder.Decoder", fail)
    outcome = run("generate", "abc", "-m", "tiny_models:load")
    assert outcome.code == 1
    assert "out of memory" in outcome.err
    assert "fewer prompts" in outcome.err


def test_ctrl_c_anywhere_is_130(run, monkeypatch):
    def fail() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("decodery.cli.plugins.listing.Host", fail)
    assert run("plugins", "list").code == 130


def test_a_full_disk_is_told(run, monkeypatch):
    def full(self: Console, text: str, style: str = "") -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Console, "write", full)
    outcome = run("generate", "abc", "-m", "tiny_models:load")
    assert outcome.code == 1
    assert outcome.err.startswith(
        "error: the output cannot be written: No space left on device\n  = help: make room"
    )


def test_an_error_on_a_dead_stderr_is_still_an_exit_code(run, monkeypatch):
    class Dead:
        def write(self, text: str) -> int:
            raise OSError(5, "Input/output error")

        flush = isatty = lambda self: False

    monkeypatch.setattr(sys, "stderr", Dead())
    assert main(["generate", "abc", "-m", "nobody"]) == 1


def test_every_error_class_is_printed_as_it_is(run, monkeypatch):
    def fail() -> None:
        raise DecoderyError("place: value", remedy="do this")

    monkeypatch.setattr("decodery.cli.plugins.listing.Host", fail)
    assert run("plugins", "list").err == "error: place: value\n  = help: do this\n"
