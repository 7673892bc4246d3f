"""Which observers asked for what."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...contracts.errors import InvalidInput
from ...contracts.protocols import Observer

_WISHES = {"tokens": "on_tokens", "scores": "on_scores", "steps": "on_step"}


def who_want(observers: Sequence[Observer], wish: str) -> list[Any]:
    """The observers that asked for `wish`. Raises `InvalidInput` for one that asks and cannot be told."""
    asking = []
    for observer in observers:
        wants: Any = getattr(observer, "wants", None)
        unknown = sorted(set(wants) - set(_WISHES)) if isinstance(wants, (set, frozenset)) else [wants]
        if unknown:
            raise InvalidInput(
                f"observer {type(observer).__name__} wants {unknown[0]!r}",
                remedy=f"'wants' is a set of: {', '.join(_WISHES)}",
            )
        if wish in wants:
            if not hasattr(observer, _WISHES[wish]):
                raise InvalidInput(
                    f"observer {type(observer).__name__} wants {wish!r} and has no {_WISHES[wish]}()",
                    remedy="give it one",
                )
            asking.append(observer)
    return asking
