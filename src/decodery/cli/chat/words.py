"""What can be said to the chat itself: lines that begin with a slash."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from ...contracts.errors import InvalidInput, RecipeError
from ...recipe.compose.overrides import COMMAND_LINE
from ...recipe.recipe import Recipe
from ...recipe.report import Problem, render, shown
from ...recipe.tools.difference import Change, differences
from .conversation import Conversation, as_json, from_json
from .session import Chat

_MOST = 2**26  # bytes of a conversation: a device may have no end
_ENDINGS = ".json is the conversation, .yaml or .yml the recipe"


@dataclass(frozen=True, slots=True)
class Word:
    """A command: what stands behind it, what it does, and the function that does it. False ends the chat."""

    usage: str
    summary: str
    act: Callable[[Chat, str], bool]


def obey(chat: Chat, line: str) -> bool:
    """Do what `line`, which begins with a slash, says -> whether the chat goes on. Raises `DecoderyError`."""
    name, _, rest = line[1:].partition(" ")
    word = WORDS.get(name)
    if word is None:
        close = difflib.get_close_matches(name, WORDS, n=1)
        hint = f"did you mean /{close[0]}?" if close else "/help lists the commands"
        raise InvalidInput(
            f"there is no command {shown('/' + name, 40)!r}",
            remedy=f"{hint}; // begins a message with a slash",
        )
    return word.act(chat, rest.strip())


def _help(chat: Chat, _: str) -> bool:
    lines = {f"/{name} {word.usage}".rstrip(): word.summary for name, word in WORDS.items() if word.summary}
    width = max(map(len, lines))
    for left, right in lines.items():
        chat.console.line(f"{left.ljust(width)}  {right}")
    chat.console.line("A line that ends with \\ goes on in the next; // begins a message with a slash.")
    return True


def _set(chat: Chat, text: str) -> bool:
    parts = re.match(r"([^\s=]+)\s*[\s=]\s*(.+)\Z", text, re.DOTALL)
    if parts is None:
        raise InvalidInput(
            f"{f'/set {text}'.rstrip()} sets nothing", remedy="write /set NAME VALUE: /set top_p 0.8"
        )
    name, value = parts.groups()
    change = f"{name}={value}"
    try:
        recipe = Recipe.loads(chat.recipe.to_yaml(), overrides=[change], host=chat.host)
    except RecipeError as error:
        problems = [_as_typed(p, change, f"/set {text}") for p in error.problems if isinstance(p, Problem)]
        count = f"{len(problems)} problem{'' if len(problems) == 1 else 's'} found; nothing was changed."
        raise RecipeError(render(problems, count), problems) from None
    _change(chat, recipe)
    return True


def _as_typed(problem: Problem, change: str, line: str) -> Problem:
    """The same problem, its place counted in the line that was typed."""
    if problem.source != COMMAND_LINE:
        return problem
    name, _, value = change.partition("=")
    at = 5 if problem.column <= len(name) else line.rindex(value) - len(name) - 1
    if problem.snippet != change:  # shortened or escaped: its caret is right as it stands
        return replace(problem, source="/set")
    start, width = problem.caret
    return replace(
        problem, source="/set", snippet=line, column=problem.column + at, caret=(start + at, width)
    )


def _recipe(chat: Chat, name: str) -> bool:
    if name:
        _change(chat, Recipe.load(name, host=chat.host))
    else:
        chat.console.write(chat.recipe.to_yaml())
    return True


def _change(chat: Chat, recipe: Recipe) -> None:
    before = chat.recipe
    chat.use(recipe)
    changes = differences(before, chat.recipe)
    for change in changes:
        chat.console.say(_told(change))
    if not changes:
        chat.console.say("nothing changed")


def _told(change: Change) -> str:
    def short(value: object) -> str:
        return shown(json.dumps(value, ensure_ascii=False), 60)

    if change.kind == "changed":
        return f"{change.name}: {short(change.before)} -> {short(change.after)}"
    return (
        f"{change.kind}: {short(change.before if change.kind == 'removed' else change.after or change.name)}"
    )


def _save(chat: Chat, name: str) -> bool:
    return _write(chat, name, over=False)


def _save_over(chat: Chat, name: str) -> bool:
    return _write(chat, name, over=True)


def _write(chat: Chat, name: str, *, over: bool) -> bool:
    ending = Path(name).suffix
    if ending not in (".json", ".yaml", ".yml"):
        raise InvalidInput(
            f"/save {name}: what is to be saved?".replace(" :", ":"), remedy=f"name a file: {_ENDINGS}"
        )
    text = as_json(chat.conversation) if ending == ".json" else chat.recipe.to_yaml()
    try:
        _put(Path(name), text.encode(), over=over)
    except FileExistsError:
        raise InvalidInput(f"{name!r} is there already", remedy=f"/save! {name} writes over it") from None
    except (OSError, ValueError) as error:
        raise InvalidInput(
            f"{name!r} cannot be written: {getattr(error, 'strerror', None) or error}",
            remedy="nothing is lost; name another place",
        ) from None
    count = len(chat.conversation.messages(whole=True))
    what = f"{count} message{'' if count == 1 else 's'}" if ending == ".json" else "the recipe"
    chat.console.say(f"saved {what} to {name}")
    return True


def _put(place: Path, data: bytes, *, over: bool) -> None:
    """Whole or not at all: what was there stays until all of the new is on the disk."""
    if not over:
        with place.open("xb") as file:
            file.write(data)
        return
    beside = place.with_name(f".{place.name}.new")
    try:
        beside.write_bytes(data)
        beside.replace(place)
    finally:
        beside.unlink(missing_ok=True)


def _load(chat: Chat, name: str) -> bool:
    if not name:
        raise InvalidInput("/load: which conversation?", remedy="name a file that /save FILE.json wrote")
    try:
        with open(name, "rb") as file:
            text = file.read(_MOST).decode("utf-8-sig")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InvalidInput(
            f"{name!r} cannot be read: {reason}", remedy="name a file that /save FILE.json wrote"
        ) from None
    chat.conversation = from_json(text, name)
    chat.console.say(f"{len(chat.conversation.turns)} turns were loaded from {name}")
    return True


def _clear(chat: Chat, _: str) -> bool:
    chat.conversation = Conversation(chat.conversation.system)
    chat.console.say("the conversation begins anew; system text and recipe stay")
    return True


def _system(chat: Chat, text: str) -> bool:
    if text:
        chat.conversation = replace(chat.conversation, system=text)
        chat.console.say("the system text is changed from the next message on")
    else:
        chat.console.line(chat.conversation.system or "there is no system text")
    return True


def _undo(chat: Chat, _: str) -> bool:
    _last(chat)
    chat.conversation = chat.conversation.undone()
    chat.console.say("the last message and its answer are taken back")
    return True


def _retry(chat: Chat, _: str) -> bool:
    message, before = _last(chat), chat.conversation
    chat.conversation = before.undone()
    try:
        chat.answer(message)
    finally:
        if len(chat.conversation.turns) < len(before.turns):
            chat.conversation = before  # without another answer the first one stays
    return True


def _last(chat: Chat) -> str:
    if not chat.conversation.turns:
        raise InvalidInput("nothing was said so far")
    return chat.conversation.turns[-1].user


def _exit(chat: Chat, _: str) -> bool:
    return False


WORDS = {
    "set": Word("NAME VALUE", "change the recipe from the next answer on: /set top_p 0.8", _set),
    "recipe": Word("[RECIPE]", "show the recipe in force, or go on with another one", _recipe),
    "system": Word("[TEXT]", "show the system text, or change it", _system),
    "retry": Word("", "answer the last message once more", _retry),
    "undo": Word("", "take back the last message and its answer", _undo),
    "clear": Word("", "forget what was said", _clear),
    "save": Word("FILE", f"{_ENDINGS}; /save! writes over a file", _save),
    "load": Word("FILE.json", "go on with a conversation that was saved", _load),
    "help": Word("", "this list", _help),
    "exit": Word("", "leave; Ctrl-D and Ctrl-C do it, too", _exit),
    "save!": Word("", "", _save_over),
    "quit": Word("", "", _exit),
    "?": Word("", "", _help),
}
"""By name; those without a summary are other ways of saying one of the others."""
