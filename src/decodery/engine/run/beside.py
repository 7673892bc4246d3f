"""What the caller gave for runs beside this one, and which of it a strategy ever asked for."""

from __future__ import annotations

from collections import UserDict
from collections.abc import Mapping, Sequence


class RolePrompts(UserDict[str, Sequence[Sequence[int]]]):
    """By role; `unread` are those that nobody looked for: a name mistyped, or a strategy that has no such role."""

    def __init__(self, given: Mapping[str, Sequence[Sequence[int]]]) -> None:
        super().__init__(given)
        self.unread = set(given)

    def __contains__(self, role: object) -> bool:
        self.unread.discard(str(role))
        return role in self.data

    def __getitem__(self, role: str) -> Sequence[Sequence[int]]:
        self.unread.discard(role)
        return self.data[role]
