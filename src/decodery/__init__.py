"""decodery decodes any torch model from a recipe.

The public face: every name is imported when it is first used, so that `import decodery` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .contracts.errors import DecoderyError as DecoderyError
    from .engine.decoder import Decoder as Decoder
    from .engine.inspect import inspect_model as inspect_model
    from .engine.io.generation import Generation as Generation
    from .engine.pipeline import Pipeline as Pipeline
    from .host.hookspecs import hookimpl as hookimpl
    from .recipe.recipe import Recipe as Recipe

__version__ = "0.1.0"

_HOME = {
    "Decoder": "engine.decoder",
    "DecoderyError": "contracts.errors",
    "Generation": "engine.io.generation",
    "Pipeline": "engine.pipeline",
    "Recipe": "recipe.recipe",
    "hookimpl": "host.hookspecs",
    "inspect_model": "engine.inspect",
}

__all__ = ["Decoder", "DecoderyError", "Generation", "Pipeline", "Recipe", "hookimpl", "inspect_model"]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'decodery' has no attribute {name!r}")
    value = getattr(importlib.import_module(f".{_HOME[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
