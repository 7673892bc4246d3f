"""For authors of plugins and for our own tests: the conformance kit, an isolated host, tiny models with known
answers, and honest statistics.

    from decodery.testing import parametrize_with_checks

    @parametrize_with_checks(my_steps())
    def test_conformance(spec, check):
        check(spec)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .conformance import checks_for as checks_for
    from .hosts import isolated_host as isolated_host
    from .models import RandomTransformer as RandomTransformer
    from .models import ScriptedModel as ScriptedModel
    from .models import TableModel as TableModel
    from .models import UniformModel as UniformModel
    from .parametrize import parametrize_with_checks as parametrize_with_checks
    from .statistics import chi_square as chi_square
    from .statistics import draws as draws

# Lazy: pytest imports this package when it starts, for the sake of one option, and must not wait for torch.
_HOME = {
    "RandomTransformer": "models",
    "ScriptedModel": "models",
    "TableModel": "models",
    "UniformModel": "models",
    "checks_for": "conformance",
    "chi_square": "statistics",
    "draws": "statistics",
    "isolated_host": "hosts",
    "parametrize_with_checks": "parametrize",
}

__all__ = [
    "RandomTransformer",
    "ScriptedModel",
    "TableModel",
    "UniformModel",
    "checks_for",
    "chi_square",
    "draws",
    "isolated_host",
    "parametrize_with_checks",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'decodery.testing' has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_HOME[name]}", __name__), name)
