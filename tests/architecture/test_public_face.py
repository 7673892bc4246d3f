"""What is public is listed, documented and importable."""

from __future__ import annotations

import inspect
from pathlib import Path

import decodery
from decodery.host.hookspecs import HOOKS

DOCS = Path(__file__).parents[2] / "docs"


def test_all_names_exist_and_have_docstrings() -> None:
    for name in decodery.__all__:
        value = getattr(decodery, name)
        assert name == "hookimpl" or inspect.getdoc(value), name


def test_all_is_what_the_reference_documents() -> None:
    reference = (DOCS / "reference" / "python.md").read_text()
    headings = {
        line.removeprefix("## ").strip("`") for line in reference.splitlines() if line.startswith("## ")
    }
    assert headings == set(decodery.__all__)


def test_every_record_of_a_hook_is_documented() -> None:
    """The hooks themselves are a table that is made from the hookspecs."""
    page = (DOCS / "reference" / "hooks.md").read_text()
    assert "decodery-reference} hooks" in page
    assert all(f"autoclass:: {record.__module__}.{record.__name__}" in page for record in HOOKS.values())


def test_public_methods_have_docstrings() -> None:
    for name in ("Decoder", "Pipeline", "Recipe", "Generation"):
        for attribute, value in vars(getattr(decodery, name)).items():
            if not attribute.startswith("_") and (
                callable(value) or isinstance(value, property | classmethod)
            ):
                assert inspect.getdoc(value), f"{name}.{attribute}"


def test_an_unknown_name_is_an_attribute_error() -> None:
    assert not hasattr(decodery, "no_such_name")
    assert set(decodery.__all__) <= set(dir(decodery))
