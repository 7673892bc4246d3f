"""For authors of plugins and for our own tests: the conformance kit, tiny models with known answers, and honest
statistics.

    from decodery.testing import parametrize_with_checks

    @parametrize_with_checks(my_steps())
    def test_conformance(spec, check):
        check(spec)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from .models import ScriptedModel, TableModel, UniformModel
from .statistics import chi_square, draws

if TYPE_CHECKING:
    from .conformance import checks_for as checks_for
    from .parametrize import parametrize_with_checks as parametrize_with_checks

# Lazy: models and statistics serve scripts that have no pytest and want no engine.
_HOME = {"checks_for": "conformance", "parametrize_with_checks": "parametrize"}

__all__ = [
    "ScriptedModel",
    "TableModel",
    "UniformModel",
    "checks_for",
    "chi_square",
    "draws",
    "parametrize_with_checks",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'decodery.testing' has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_HOME[name]}", __name__), name)
