"""Mistakes in the command line itself: typer shows them with the usage line, and the exit code is 2."""

from __future__ import annotations

import typer


class UsageMistake(typer.BadParameter):
    """Options that do not go together, or one that is missing. `remedy` says what to type."""

    def __init__(self, message: str, *, remedy: str) -> None:
        super().__init__(f"{message}; {remedy}")

    def format_message(self) -> str:
        return self.message  # without "Invalid value:", which is said of one option's value
