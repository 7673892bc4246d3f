"""Whether the compiled part is there and torch draws as it expects."""

from __future__ import annotations


def why_not() -> str:
    """ "" when the backend can be used, else the reason."""
    try:
        from . import backend  # noqa: PLC0415  # its compiled part may not have been built
    except ImportError as error:
        return (
            f"its compiled part cannot be loaded ({error}); 'pip install ./plugins/decodery-native' builds it"
        )
    return backend.why_not()
