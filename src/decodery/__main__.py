"""`python -m decodery` is the command `decodery`."""

from __future__ import annotations

import sys

from .cli.app import process

if __name__ == "__main__":
    sys.exit(process())
