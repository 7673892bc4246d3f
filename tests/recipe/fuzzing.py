"""Feeds bytes by chance to a reader of strangers' text, and sees that nothing comes of it but a value or a refusal.

A target is a function `(bytes) -> None`. It returns, or raises `RecipeError`; anything else is a defect. While it
runs an audit hook watches: it opens no file for writing, changes none, starts no process and asks no network, and
no code is compiled or run. All that a new format needs:

    def read_foreign(raw: bytes) -> None:
        import_preset(raw, "llama.cpp")

    def test_whatever_the_bytes() -> None:
        pound(read_foreign, [b"-n 3 --temp 0.5"], count=20_000, seed=7)
"""

from __future__ import annotations

import encodings.unicode_escape
import encodings.utf_16
import encodings.utf_16_le  # noqa: F401 (codecs are imported when they are first used, which is no misdeed)
import faulthandler
import os
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from decodery.contracts.errors import RecipeError

Target = Callable[[bytes], None]
_LONGEST = 60.0  # seconds for one input, before it counts as hanging
_FORBIDDEN = frozenset({
    "compile", "exec", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.system",
    "os.startfile", "pty.spawn", "subprocess.Popen", "socket.connect", "socket.getaddrinfo", "socket.bind",
    "socket.sendto", "os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate",
    "os.chmod", "os.chown", "os.putenv", "os.unsetenv", "shutil.rmtree", "shutil.move", "shutil.copyfile",
    "ctypes.dlopen", "marshal.loads", "pickle.find_class", "urllib.Request", "import",
})  # fmt: skip
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Misdeed(BaseException):
    """Reading a stranger's text did something that it has no business doing. No `except Exception` hides it."""


class _Watch:
    """One audit hook for the process (they cannot be taken out again), awake while a target runs."""

    def __init__(self) -> None:
        self.awake = False
        sys.addaudithook(self)

    def __call__(self, event: str, args: tuple[object, ...]) -> None:
        if not self.awake:
            return
        if event == "open":
            _path, mode, flags = args
            if (isinstance(mode, str) and set(mode) & set("wax+")) or (
                isinstance(flags, int) and flags & _WRITING
            ):
                raise Misdeed(f"open{args!r}")
        elif event in _FORBIDDEN:
            raise Misdeed(f"{event}{args!r}"[:300])

    @contextmanager
    def over(self) -> Iterator[None]:
        self.awake = True
        try:
            yield
        finally:
            self.awake = False


_WATCH: list[_Watch] = []


def pound(target: Target, seeds: Sequence[bytes], *, count: int, seed: int) -> int:
    """Feed `count` mutations of `seeds` to `target`; how many it took. The seeds themselves come first, unwatched, so
    that what is imported and compiled once is there already."""
    if not _WATCH:
        _WATCH.append(_Watch())
    for raw in seeds:
        try:
            target(raw)
        except RecipeError:
            continue
    chance, taken = random.Random(seed), 0
    for number in range(count):
        raw = mutated(seeds, chance)
        taken += feed(target, raw, f"number {number} of seed {seed}")
    return taken


def feed(target: Target, raw: bytes, name: str = "") -> bool:
    """Give one input to `target`; whether it took it. Raises `AssertionError` for a defect."""
    if not _WATCH:
        _WATCH.append(_Watch())
    faulthandler.dump_traceback_later(_LONGEST, exit=True)
    try:
        with _WATCH[0].over():
            target(raw)
    except RecipeError as refusal:
        if len(str(refusal).encode()) > 4096:
            raise AssertionError(f"a report of {len(str(refusal))} characters for {raw!r} ({name})") from None
        return False
    except BaseException as defect:
        raise AssertionError(f"{type(defect).__name__} for {raw!r} ({name})") from defect
    finally:
        faulthandler.cancel_dump_traceback_later()
    return True


_PIECES = (
    b"&a ", b"*a", b"!!python/object/apply:os.system [x]", b"<<: ", b"---\n", b"...\n", b"%YAML 1.1\n", b"? ", b": ",
    b"- ", b"[", b"]", b"{", b"}", b",", b"'", b'"', b"\\", b"#", b"|\n", b">\n", b"\t", b"\n", b"\r", b"\x00",
    b"\x1b[31m", b"\xe2\x80\xae", b"\xef\xbb\xbf", b"\xff", b"\xed\xa0\x80", b"\xc2\x85", b"<script>", b"null", b"~",
    b"yes", b"012", b"1e999", b"-1", b".nan", b".inf", b"9" * 70, b"0x1F", b"12:30", b"2001-01-01", b"\\ud800",
    b"recipe: 1\n", b"recipe: 2\n", b"extends: ", b"./chat.yaml", b"../x.yaml", b"/etc/passwd", b"chat", b"acme/tight",
    b"patch:\n", b"- set: {top_k: 1}\n", b"- drop: ", b"- replace: ", b"- insert: ", b"after: ", b"at: 0\n",
    b"requires: [pluggy]\n", b"requires: [x>=1]\n", b"top_k", b"top_p#2", b".min_keep", b"seed: ", b"${HOME}", b"$(id)",
    b"{{ 7 * 7 }}", b"__class__", b"../" * 20, b"a" * 300, b"[" * 40, b"{a: " * 40,
)  # fmt: skip


def mutated(seeds: Sequence[bytes], chance: random.Random) -> bytes:
    """One of the seeds, after one to six changes by chance."""
    raw = bytearray(chance.choice(seeds))
    for _ in range(chance.choice((1, 1, 1, 2, 3, 6))):
        at = chance.randint(0, len(raw))
        end = min(len(raw), at + chance.randint(1, 12))
        match chance.randrange(8):
            case 0 if raw:
                raw[at % len(raw)] = chance.randrange(256)
            case 1:
                del raw[at:end]
            case 2 | 3:
                raw[at:at] = chance.choice(_PIECES)
            case 4:
                raw[at:end] = chance.choice(_PIECES)
            case 5:
                raw[at:at] = raw[at:end] * chance.randint(1, 4)
            case 6:
                other = chance.choice(seeds)
                start = chance.randint(0, len(other))
                raw[at:at] = other[start : start + chance.randint(1, 60)]
            case _:
                lines = bytes(raw).split(b"\n")
                chance.shuffle(lines)
                raw = bytearray(b"\n".join(lines))
    return bytes(raw)
