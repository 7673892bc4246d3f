"""The code of every problem, for `--json` and for looking it up: docs/reference/errors.md explains each."""

from typing import Literal

Code = Literal[
    # the text
    "too-large",
    "not-utf8",
    "hidden-character",
    "syntax",
    "directive",
    "second-document",
    "anchor",
    "alias",
    "tag",
    "merge-key",
    "key",
    "duplicate-key",
    "number",
    "ambiguous",
    "too-deep",
    "too-many-nodes",
    # the recipe
    "version",
    "unknown-key",
    "shape",
    "bad-value",
    "unknown-step",
    "unknown-strategy",
    "wrong-list",
    "unknown-parameter",
    "missing-parameter",
    "no-value",
    # what it builds on
    "not-found",
    "extends",
    "extends-cycle",
    "patch",
    "requires",
    "override",
    "not-data",
    # warnings
    "dead-step",
    "surprising-order",
    "bans-everything",
    "no-length-limit",
]
WARNINGS: tuple[Code, ...] = ("dead-step", "surprising-order", "bans-everything", "no-length-limit")
"""Those that only `recipe check` tells, and that stop nothing unless `--strict` says so."""
