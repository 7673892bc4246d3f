"""DECODERY_PLUGINS as a value."""

from __future__ import annotations

import pytest

from decodery.host.selection import is_enabled, without


@pytest.mark.parametrize("selection", [None, "", " , ", "a", "a,b", "-b", "a,-b", "c-d"])
@pytest.mark.parametrize("dropped", [["a"], ["b", "C_D"], []])
def test_without_lets_in_the_same_less_those(selection: str | None, dropped: list[str]) -> None:
    less = without(selection, dropped)
    for plugin in ("a", "b", "c-d", "e"):
        expected = is_enabled(plugin, selection) and plugin not in [
            name.lower().replace("_", "-") for name in dropped
        ]
        assert is_enabled(plugin, less) == expected, plugin
