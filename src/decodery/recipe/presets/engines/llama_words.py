"""The words of a llama.cpp command line -> its flags with their values."""

from __future__ import annotations

import re
from typing import Any

from ...report import Problems
from ..common.given import Given
from . import llama_flags as flags
from .words import Word

_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?\Z", re.ASCII)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "'": "'", '"': '"', "\\": "\\"}
_ESCAPE = re.compile(r"\\(?:([nrt'\"\\])|x([0-9A-Fa-f]{2}))")


def given(words: list[Word], problems: Problems) -> tuple[list[Given], list[Given], list[Word]]:
    """(flags with values, those that a later one overrides, words that belong to no flag)."""
    found: dict[str, Given] = {}
    overridden: list[Given] = []
    idle: list[Word] = []
    at = 0
    while at < len(words):
        word = words[at]
        at += 1
        if not _is_flag(word.text):
            idle.append(word)
            continue
        key = _canonical(word.text)
        value: Any = True
        if key in flags.TEXT_FLAGS or key in flags.NUMBER_FLAGS:
            if at == len(words):
                problems.add(word.span, "bad-value", f"{word.text} has no value", "write it behind the flag")
                break
            value, at = words[at].text, at + 1
            if key in flags.NUMBER_FLAGS:
                value = _number(value)
        elif key not in flags.SWITCHES:
            rest = []
            while at < len(words) and not _is_flag(words[at].text):
                rest.append(words[at].text)
                at += 1
            value = " ".join(rest) or True
        before = found.pop(key, None)
        if key in flags.MANY:
            value = [*(before.value if before else []), value]  # type: ignore[misc]
        elif before is not None:
            overridden.append(before)
        found[key] = Given(key, value, word.span)
    if "--no-escape" not in found:
        for key in ("--reverse-prompt", "--dry-sequence-breaker"):
            if key in found:
                texts: Any = found[key].value
                found[key] = Given(key, [_unescaped(text) for text in texts], found[key].span)
    return list(found.values()), overridden, idle


def _is_flag(text: str) -> bool:
    return text.startswith("-") and len(text) > 1 and not _NUMBER.match(text)


def _canonical(text: str) -> str:
    name = text.replace("_", "-") if text.startswith("--") else text
    return flags.SPELLINGS.get(name, name)


def _number(text: str) -> object:
    if not _NUMBER.match(text) or len(text) > 60:
        return text
    return int(text) if text.lstrip("+-").isdecimal() else float(text)


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(lambda m: _ESCAPES[m[1]] if m[1] else chr(int(m[2], 16)), text)
