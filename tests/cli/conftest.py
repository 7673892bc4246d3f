"""How the command line is run: in this process for speed, in one of its own where that is the claim."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from decodery.cli.app import main

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str


class Terminal(io.StringIO):
    """What a command takes for a terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def plain_surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "NO_COLOR",
        "FORCE_COLOR",
        "DECODERY_DEBUG",
        "DECODERY_PLUGINS",
        "TTY_COMPATIBLE",
        "COLUMNS",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "path", list(sys.path))  # -m puts the current directory there


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Outcome]:
    """Runs `decodery ARGS` here, among the models of tiny_models.py. `stdin` is what is piped in."""
    monkeypatch.chdir(HERE)

    def run(*args: object, stdin: bytes = b"") -> Outcome:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8"))
        capsys.readouterr()
        code = main([str(arg) for arg in args])
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return run


@pytest.fixture
def run_on_terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Outcome]:
    """The same with a person looking: stdout and stderr are terminals, unless `piped` names one of them."""
    monkeypatch.chdir(HERE)

    def run(*args: object, piped: str = "") -> Outcome:
        out, err = (io.StringIO() if piped == name else Terminal() for name in ("stdout", "stderr"))
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", out)
            patch.setattr(sys, "stderr", err)
            code = main([str(arg) for arg in args])
        return Outcome(code, out.getvalue(), err.getvalue())

    return run


@pytest.fixture
def shell() -> Callable[..., Outcome]:
    """Runs `python -m decodery ARGS` in a process of its own."""

    def shell(*args: object, cwd: Path = HERE, stdin: str = "", **env: str) -> Outcome:
        paths = (env.get("PYTHONPATH"), os.environ.get("PYTHONPATH"))
        done = subprocess.run(
            [sys.executable, "-m", "decodery", *map(str, args)],
            cwd=cwd,
            input=stdin,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=120,
            check=False,
            env={**os.environ, **env, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
        )
        return Outcome(done.returncode, done.stdout, done.stderr)

    return shell


@pytest.fixture
def install(tmp_path: Path) -> Callable[..., Path]:
    """Lays out a distribution as pip would; the folder it returns goes on PYTHONPATH."""

    def install(name: str, code: str, *, version: str = "1.2.3", summary: str = "") -> Path:
        site, module = tmp_path / "site", name.replace("-", "_")
        info = site / f"{module}-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nSummary: {summary}\n"
        )
        (info / "entry_points.txt").write_text(f"[decodery]\n{module} = {module}\n")
        (site / f"{module}.py").write_text(code)
        return site

    return install


@pytest.fixture(scope="session", autouse=True)
def _ctrl_c_reaches_children() -> Iterator[None]:
    """What is started in the background of a shell has SIGINT ignored, and hands that on to its own children."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    if before is signal.SIG_IGN:
        signal.signal(signal.SIGINT, before)
