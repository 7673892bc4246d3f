"""Plain data -> the YAML of a recipe, and -> canonical JSON for its fingerprint.

Quoted text is written with YAML's double quotes and escapes, so that what cannot be seen is spelled out.
"""

from __future__ import annotations

import dataclasses
import enum
import json
import math
import re
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet

from ...contracts.errors import NotSerializable
from .nodes import MAX_DEPTH, MAX_NODES
from .scalars import MAX_NUMBER, ambiguity, resolve
from .text import MAX_BYTES

_BARE = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*(?: [A-Za-z0-9_./-]+)*\Z")
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}
_LONGEST_KEY = 1000  # YAML wants a key's ':' within 1,024 characters, or a '?' before the key
_REMEDY = "a recipe holds null, booleans, numbers, text, lists and mappings"


def plain(value: object) -> object:
    """A parameter's value as JSON has it: tuples and sets become lists, enumerations their values."""
    if isinstance(value, enum.Enum):
        return plain(value.value)
    if isinstance(value, Mapping):
        return {key if isinstance(key, str) else str(plain(key)): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, AbstractSet):
        return sorted((plain(item) for item in value), key=repr)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    return 0.0 if isinstance(value, float) and value == 0 else value  # -0.0 equals 0.0, so it reads the same


def canonical_json(data: object) -> str:
    """One text for equal data. Raises `NotSerializable`."""
    try:
        return json.dumps(data, sort_keys=True, separators=(",", ":"))
    except (TypeError, ValueError) as error:
        raise NotSerializable(f"a parameter cannot be written: {error}", remedy=_REMEDY) from None


def document(data: Mapping[str, object]) -> str:
    """A recipe's YAML: a line a key, a line an item of a top-level list, everything deeper in brackets.

    `data` holds None, bool, int, float, str, list, tuple and mappings from str, as much as a recipe file may.
    Raises `NotSerializable` naming the path of anything else.
    """
    writer = _Writer()
    lines: list[str] = []
    for key, value in data.items():
        head = f"{writer.key(key, '')}:"
        if head.startswith("?"):
            raise NotSerializable(
                f"the recipe has a key of {len(key)} characters", remedy="use a shorter one"
            )
        writer.count("")
        if isinstance(value, (list, tuple)) and value:
            lines.append(head)
            writer.count(key)
            lines += [f"  - {writer.item(item, f'{key}[{i}]')}" for i, item in enumerate(value)]
        else:
            lines.append(f"{head} {writer.flow(value, key, 2)}")
    text = "\n".join([*lines, ""])
    if len(text.encode()) > MAX_BYTES:
        raise NotSerializable(
            f"the recipe would be larger than {MAX_BYTES // 1024} KiB", remedy="use shorter lists"
        )
    return text


class _Writer:
    """Writes values in flow style and counts them."""

    def __init__(self) -> None:
        self.nodes = 1

    def count(self, path: str) -> None:
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise NotSerializable(f"{path}: more than {MAX_NODES:,} values", remedy="use shorter lists")

    def item(self, value: object, path: str) -> str:
        """A list item; `name: value` stands without brackets."""
        if isinstance(value, Mapping) and len(value) == 1:
            ((key, inner),) = value.items()
            written = self.key(key, path)
            if not written.startswith("?"):
                self.count(path)
                self.count(path)
                return f"{written}: {self.flow(inner, f'{path}.{key}', 4)}"
        return self.flow(value, path, 3)

    def flow(self, value: object, path: str, depth: int) -> str:
        """One value; `depth` is that of the value in the whole recipe, the recipe itself being 1."""
        self.count(path)
        if isinstance(value, str):
            return quoted(value, path)
        if value is None or isinstance(value, bool):
            return {None: "null", True: "true", False: "false"}[value]
        if isinstance(value, int):
            return _integer(value, path)
        if isinstance(value, float):
            return _float(value)
        if not isinstance(value, (list, tuple, Mapping)):
            raise NotSerializable(
                f"{path} is a {type(value).__name__}, which YAML cannot hold", remedy=_REMEDY
            )
        if depth > MAX_DEPTH:
            raise NotSerializable(f"{path[:60]}: nested more than {MAX_DEPTH} levels deep", remedy=_REMEDY)
        if isinstance(value, Mapping):
            return "{" + ", ".join(self._pairs(value, path, depth)) + "}"
        return (
            "[" + ", ".join(self.flow(item, f"{path}[{i}]", depth + 1) for i, item in enumerate(value)) + "]"
        )

    def key(self, key: object, path: str) -> str:
        if not isinstance(key, str) or not key:
            raise NotSerializable(
                f"{path or 'the recipe'} has the key {key!r}, which is no name", remedy=_REMEDY
            )
        written = quoted(key, path)
        return written if len(written) <= _LONGEST_KEY else f"? {written} "

    def _pairs(self, value: Mapping[object, object], path: str, depth: int) -> Iterable[str]:
        for key, item in value.items():
            self.count(path)
            yield f"{self.key(key, path)}: {self.flow(item, f'{path}.{key}', depth + 1)}"


def quoted(text: str, path: str = "") -> str:
    """`text` as a YAML scalar: bare where every reader takes it for text, else in double quotes."""
    text = str.__str__(text)
    if _BARE.match(text) and isinstance(resolve(text), str) and ambiguity(text) is None:
        return text
    if any("\ud800" <= char <= "\udfff" for char in text):
        raise NotSerializable(f"{path}: half of a character in {text[:40]!r}", remedy="mend the text")
    return (
        '"'
        + "".join(_ESCAPES.get(char) or (char if char.isprintable() else _escape(ord(char))) for char in text)
        + '"'
    )


def _escape(code: int) -> str:
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"


def _integer(value: int, path: str) -> str:
    if value.bit_length() > 200:  # 200 bits fit into MAX_NUMBER characters
        raise NotSerializable(
            f"{path}: an integer of more than {MAX_NUMBER} digits", remedy="use a smaller number"
        )
    return int.__repr__(value)


def _float(value: float) -> str:
    if math.isnan(value):
        return ".nan"
    if value in (float("inf"), float("-inf")):
        return ".inf" if value > 0 else "-.inf"
    return float.__repr__(value)
