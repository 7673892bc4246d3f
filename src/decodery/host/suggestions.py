"""What somebody may have meant by a name that nobody has."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

from ..contracts.specs import Spec, StepSpec, StrategySpec

Records = Sequence[tuple[str, Spec]]
"""(qualified name, record)."""


def meant(name: str, records: Records, others: Records = ()) -> str:
    """The remedy for the unknown `name`, "" where nothing comes near it. `others` are records of another kind, which
    are told where the name is theirs exactly."""
    plain = _plain(name)
    words = _words(records)
    if plain in words:
        return words[plain]
    for qualified, spec in others:
        if plain in map(_plain, (qualified, *_names(spec), *getattr(spec, "keywords", ()))):
            return _elsewhere(qualified, spec)
    close = difflib.get_close_matches(plain, words, n=1)
    return words[close[0]] if close else ""


def _words(records: Records) -> dict[str, str]:
    """Everything that a record is called -> what to say to who writes it nearly; earlier records come first."""
    found: dict[str, str] = {}
    for qualified, spec in records:
        for word in (qualified, *_names(spec)):
            found.setdefault(_plain(word), f"did you mean {qualified!r}?")
    for qualified, spec in records:
        for word in getattr(spec, "keywords", ()):
            found.setdefault(_plain(word), f"{qualified!r} does that ('decodery plugins show {qualified}')")
    return found


def _elsewhere(qualified: str, spec: Spec) -> str:
    if isinstance(spec, StrategySpec):
        place = f"a strategy: 'strategy: {qualified}' in a recipe, with_strategy({qualified!r}) in Python"
    elif isinstance(spec, StepSpec) and spec.role == "stop":
        place = f"a stop rule: below 'stop:' in a recipe, stop({qualified!r}) in Python"
    else:
        place = f"a processor: below 'processors:' in a recipe, add({qualified!r}) in Python"
    return f"{qualified!r} is {place}"


def _names(spec: Spec) -> Iterable[str]:
    return (spec.name, *getattr(spec, "aliases", ()))


def _plain(word: str) -> str:
    return word.lower().replace("-", "_").replace(" ", "_")
