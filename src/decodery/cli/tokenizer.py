"""What `--tokenizer` names: a directory, a file, or a function. Never the network."""

from __future__ import annotations

import re
from pathlib import Path

from ..contracts.errors import InvalidInput, UnknownName
from .messages import DEBUG, first_line
from .models import LOCAL, TOKENIZER_FILES, attempt, called, named_by, transformers_offline

_KINDS = "a directory, a tokenizer.json, a sentencepiece .model, or package.module:function"
_RANK = re.compile(rb"[A-Za-z0-9+/]+={0,2} \d+\r?\Z")
_OF_A_DIRECTORY = frozenset({*TOKENIZER_FILES, "merges.txt", "special_tokens_map.json"}) - {"tokenizer.json"}


def load_tokenizer(name: str) -> object:
    """`name` -> a tokenizer. Raises `UnknownName`, `InvalidInput`, or what `attempt` makes of a library's error."""
    place, path = f"--tokenizer {name!r}", Path(name)
    if path.is_dir():
        return attempt(
            place, lambda: transformers_offline().AutoTokenizer.from_pretrained(str(path), **LOCAL)
        )
    if path.is_file():
        return _from_file(place, path)
    if ":" in name:
        made = called(named_by("--tokenizer", name), place)
        if made is None:
            raise InvalidInput(f"{place} gives None, not a tokenizer", remedy="did the function return it?")
        return made
    missing = "is no file" if path.exists() else "no such file or directory"
    raise UnknownName(f"{place}: {missing}", remedy=f"it takes {_KINDS}")


def _from_file(place: str, path: Path) -> object:
    if _is_tiktoken(path):
        raise InvalidInput(
            f"{place} is a tiktoken vocabulary, which says neither how a text is split nor which tokens are special",
            remedy="a function of yours that knows both makes the tokenizer, and --tokenizer package.module:function "
            "names it: tiktoken.Encoding(NAME, pat_str=..., special_tokens={...}, "
            f"mergeable_ranks=tiktoken.load.load_tiktoken_bpe({str(path)!r}))",
        )
    if path.suffix == ".model":
        return attempt(place, lambda: _sentencepiece(path))
    from tokenizers import Tokenizer  # noqa: PLC0415 (lazy: start-up)

    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises that very class
        is_part = path.name in _OF_A_DIRECTORY
        remedy = "name the directory that it lies in" if is_part else f"--tokenizer takes {_KINDS}"
        raise InvalidInput(
            f"{place} is no tokenizer.json: {first_line(error)}", remedy=f"{remedy}; {DEBUG}"
        ) from error


def _is_tiktoken(path: Path) -> bool:
    """Whether the first line is a token's bytes in base64 and its rank: such files are called .model, too."""
    with path.open("rb") as file:
        first = file.readline(4096).rstrip(b"\n")
    return path.suffix == ".tiktoken" or _RANK.match(first) is not None


def _sentencepiece(path: Path) -> object:
    import sentencepiece  # noqa: PLC0415 (an optional library)

    found: object = sentencepiece.SentencePieceProcessor(model_file=str(path))
    return found
