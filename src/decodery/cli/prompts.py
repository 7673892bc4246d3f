"""Prompts from arguments, files and stdin."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from ..contracts.errors import InvalidInput

_ID = re.compile(r"[0-9]{1,18}\Z")  # as many digits as an int64 surely holds


def gather(arguments: Sequence[str], files: Sequence[str], *, lines: bool = False) -> list[str]:
    """The prompts in order: the arguments, then one a file, or with `lines` one a line that is not blank.

    Raises `InvalidInput` for a file that cannot be read and for text that is not Unicode. Prompts are counted
    from 0 in messages and headers, as the engine and --json count them.
    """
    prompts = list(arguments)
    for i, prompt in enumerate(prompts):
        _check(prompt, f"prompt {i}")
    for file in files:
        text = _read(file)
        # Not splitlines(): a form feed or U+2028 is part of a prompt.
        split = (line.removesuffix("\r") for line in text.split("\n"))
        prompts += [line for line in split if line.strip()] if lines else [without_final_newline(text)]
    return prompts


def without_final_newline(text: str) -> str:
    """Editors and `echo` end a text with a newline that nobody meant as part of it; one is dropped."""
    return text[:-2] if text.endswith("\r\n") else text.removesuffix("\n")


def token_ids(prompt: str) -> list[int]:
    """ "1 2 3", "1,2,3" or "[1, 2, 3]" -> [1, 2, 3]. Raises `InvalidInput`."""
    words = [word for word in re.split(r"[\s,]+", prompt.strip().removeprefix("[").removesuffix("]")) if word]
    for word in words:
        if not _ID.match(word):
            raise InvalidInput(
                f"prompt {_shown(prompt)}: {_shown(word)} is not a token id",
                remedy='with --ids a prompt is written like "1 2 3"',
            )
    return [int(word) for word in words]


def is_there(kind: Callable[[Path], bool], argument: str) -> bool:
    """Whether an argument is the path of a file, or whatever else `kind` asks about."""
    try:
        return kind(Path(argument))
    except (OSError, ValueError):  # too long for a name, or a NUL in it
        return False


def read_bytes(file: str, what: str, most: int = -1) -> bytes:
    """What lies in `file` ("-" is stdin), at most so many bytes of it; `what` it is, for messages.

    Raises `InvalidInput`.
    """
    place = "stdin" if file == "-" else f"{what} file {file!r}"
    if file == "-" and sys.stdin is None:
        raise InvalidInput(f"stdin is closed, so no {what} can be read from it", remedy="name a file")
    try:
        if file == "-":
            return sys.stdin.buffer.read(most)
        with open(file, "rb") as stream:
            return stream.read(most)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise InvalidInput(
            f"{place} cannot be read: {getattr(error, 'strerror', None) or error}",
            remedy="check the path; '-' reads stdin",
        ) from error


def _read(file: str) -> str:
    data = read_bytes(file, "prompt")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        place = "stdin" if file == "-" else f"prompt file {file!r}"
        raise InvalidInput(
            f"{place} is not UTF-8: byte {data[error.start]:#04x} at offset {error.start}",
            remedy="convert it, for example with iconv -t utf-8",
        ) from error


def _check(prompt: str, place: str) -> None:
    # Bytes of an argument that are not text arrive as lone surrogates, which no tokenizer takes.
    if any("\ud800" <= char <= "\udfff" for char in prompt):
        raise InvalidInput(
            f"{place} {_shown(prompt)} is not valid text in this locale's encoding",
            remedy="give it as UTF-8, for example in a file: -p FILE",
        )


def _shown(text: str, limit: int = 40) -> str:
    return ascii(text if len(text) <= limit else text[: limit - 3] + "...")
