"""`decodery recipe schema`: the JSON Schema of recipes, with the steps of every installed plugin."""

from __future__ import annotations

import json

from ...host.registry import Host
from ...recipe.tools.schema import schema as made
from ..console import Console


def schema() -> int:
    """Print the schema -> the exit code."""
    Console().line(json.dumps(made(Host()), indent=2))
    return 0
