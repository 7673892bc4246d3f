"""What was said: a value, so that an answer that fails leaves the conversation as it was."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ...contracts.errors import InvalidInput

Messages = list[dict[str, str]]
"""{"role": "system" | "user" | "assistant", "content": text}, as chat templates take them."""

_ROLES = ("system", "user", "assistant")


@dataclass(frozen=True, slots=True)
class Turn:
    """A message and its answer; None while there is none."""

    user: str
    answer: str | None = None


@dataclass(frozen=True, slots=True)
class Conversation:
    """The system text, the turns, and how many of the oldest the model is no longer shown."""

    system: str = ""
    turns: tuple[Turn, ...] = ()
    left_out: int = 0

    def asked(self, message: str) -> Conversation:
        """One turn more, without an answer yet."""
        return replace(self, turns=(*self.turns, Turn(message)))

    def answered(self, text: str) -> Conversation:
        """The last turn with its answer."""
        return replace(self, turns=(*self.turns[:-1], replace(self.turns[-1], answer=text)))

    def undone(self) -> Conversation:
        """Without the last turn."""
        turns = self.turns[:-1]
        return replace(self, turns=turns, left_out=min(self.left_out, len(turns)))

    def messages(self, *, whole: bool = False) -> Messages:
        """What the model is shown, or with `whole` all that was said."""
        found = [{"role": "system", "content": self.system}] if self.system else []
        for turn in self.turns if whole else self.turns[self.left_out :]:
            found.append({"role": "user", "content": turn.user})
            if turn.answer is not None:
                found.append({"role": "assistant", "content": turn.answer})
        return found

    def fitted(
        self, encode: Callable[[Messages], list[int]], context: int | None, room: int
    ) -> tuple[Conversation, list[int]]:
        """As many of the newest turns as leave `room` tokens of the model's `context` for the answer, and their ids.

        Raises `InvalidInput` where the last message alone is too long.
        """
        fitted = self
        while True:
            ids = encode(fitted.messages())
            if context is None or len(ids) + room <= context:
                return fitted, ids
            if fitted.left_out + 1 >= len(fitted.turns):
                break
            fitted = replace(fitted, left_out=fitted.left_out + 1)
        if len(ids) < context:
            return fitted, ids  # a long message may have a short answer
        said = " and the system text" if self.system else ""
        raise InvalidInput(
            f"the message{said} make {len(ids)} tokens, and the model's context is {context}",
            remedy="say it in fewer words; it was not kept",
        )


def as_json(conversation: Conversation) -> str:
    """All that was said, as the list of messages that chat templates and other programs read."""
    return json.dumps(conversation.messages(whole=True), ensure_ascii=False, indent=2) + "\n"


def from_json(text: str, place: str) -> Conversation:
    """The other way. Raises `InvalidInput` for anything but messages in turns."""
    remedy = 'a conversation is a JSON list of {"role": "user", "content": "..."}, as /save writes it'
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{place} is no JSON: {error}", remedy=remedy) from None
    if not isinstance(data, list):
        raise InvalidInput(f"{place} holds no list of messages", remedy=remedy)
    return _in_turns(
        [_message(item, f"{place}: message {at}", remedy) for at, item in enumerate(data)], place
    )


def _message(item: object, place: str, remedy: str) -> tuple[str, str]:
    role, content = (item.get("role"), item.get("content")) if isinstance(item, dict) else (None, None)
    if role not in _ROLES or not isinstance(content, str):
        raise InvalidInput(f"{place} is {item!r:.60}", remedy=remedy)
    return str(role), content


def _in_turns(messages: Sequence[tuple[str, str]], place: str) -> Conversation:
    found = Conversation()
    for at, (role, content) in enumerate(messages):
        before = messages[at - 1][0] if at else ""
        if role == "system" and at == 0:
            found = replace(found, system=content)
        elif role == "user" and before != "user":
            found = found.asked(content)
        elif role == "assistant" and before == "user":
            found = found.answered(content)
        else:
            after = f"after one of {before!r}" if before else "first"
            raise InvalidInput(
                f"{place}: message {at} is of {role!r}, {after}",
                remedy="a system message may come first, then user and assistant take turns",
            )
    if found.turns and found.turns[-1].answer is None:
        raise InvalidInput(
            f"{place}: the last message has no answer", remedy="end it with one of 'assistant'"
        )
    return found
