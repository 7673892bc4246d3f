"""Bytes -> text that is safe to parse and to show: the size, the encoding, and characters that hide."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import replace

from ..report import Problems, Source, Span
from .nodes import Budget

MAX_BYTES = 256 * 1024

_BREAK = re.compile(r"\r\n|\r|\n")
# Controls, line breaks that only YAML 1.1 knows (they would shift every line number), bidi controls, halves
# of surrogate pairs, the byte-order mark. Joiners stay: Persian and emoji are spelled with them.
_HIDDEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ufffe\uffff\ud800-\udfff]"
)
_STAND_IN = "\N{REPLACEMENT CHARACTER}"
_MOST_REPORTED = 10


def read(
    raw: str | bytes,
    name: str,
    problems: Problems,
    *,
    via: Span | None = None,
    budget: Budget | None = None,
) -> tuple[Source, str] | None:
    """The text of a recipe and its lines, or None when there is nothing to go on with.

    `via` is the place that extends it. Refused characters are reported and replaced, so that the rest of the file
    can still be checked.
    """
    source = Source(name, via=via)
    budget = budget or Budget()
    budget.bytes += len(raw)  # characters of a text at first, which are fewer than its bytes
    if budget.bytes <= MAX_BYTES and isinstance(raw, str):
        budget.bytes += len(raw.encode("utf-8", "surrogatepass")) - len(raw)
    if budget.bytes > MAX_BYTES:
        together = " together with what extends it" if source.via else ""
        problems.add(
            Span(source),
            "too-large",
            f"the recipe is larger than {MAX_BYTES // 1024} KiB{together}",
            "a recipe names steps and numbers; keep data out of it",
        )
        return None
    text = raw if isinstance(raw, str) else _decode(raw, source, problems)
    if text is None:
        return None
    text = text.removeprefix("\ufeff")
    source = replace(source, lines=tuple(_BREAK.split(text)))
    return source, clean(text, source, problems)


def clean(text: str, source: Source, problems: Problems, line: int = 1) -> str:
    """Report the hidden characters of `text`, which begins at `line` of `source`; U+FFFD is put there."""
    if not _HIDDEN.search(text):
        return text
    found = 0
    for number, content in enumerate(_BREAK.split(text), line):
        for match in _HIDDEN.finditer(content):
            found += 1
            if found <= _MOST_REPORTED:
                char = match.group()
                name = unicodedata.name(char, "control character")
                problems.add(
                    Span(source, number, match.start() + 1, 1),
                    "hidden-character",
                    f"character U+{ord(char):04X} ({name.lower()}) is not allowed here",
                    _remedy(char),
                )
    return _HIDDEN.sub(_STAND_IN, text)


def _remedy(char: str) -> str:
    if 0xD800 <= ord(char) <= 0xDFFF:
        return "it is half of a character; take it out"
    escape = f"\\x{ord(char):02x}" if ord(char) < 256 else f"\\u{ord(char):04x}"
    return f'take it out; in a string, write it as "{escape}" in double quotes'


def _decode(raw: bytes, source: Source, problems: Problems) -> str | None:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        before = _BREAK.split(raw[: error.start].decode("utf-8"))
        lines = tuple(_BREAK.split(raw.decode("utf-8", "replace")))
        utf16 = raw.startswith((b"\xff\xfe", b"\xfe\xff"))
        problems.add(
            Span(replace(source, lines=lines), len(before), len(before[-1]) + 1, 1),
            "not-utf8",
            f"byte 0x{raw[error.start]:02x} is not UTF-8"
            + (" (the file looks like UTF-16)" if utf16 else ""),
            "save the file as UTF-8",
        )
        return None
