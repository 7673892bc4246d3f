"""The command: opens model and recipe, then messages and answers in turn until somebody leaves."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING

from ...contracts.errors import DecoderyError, InvalidInput
from ...host.registry import Host
from ..console import Console
from ..messages import message as told
from ..muting import plugins_muted
from ..opening import Named, as_roles, check_seed, open_decoder, refuse_no_model
from .conversation import Conversation
from .lines import Lines

if TYPE_CHECKING:
    from .session import Chat


def chat(
    *,
    model: str | None,
    recipe: str | None,
    override: list[str],
    system: str,
    template: str,
    seed: int | None,
    max_new_tokens: int | None,
    tokenizer: str | None,
    roles: list[str],
    device: str | None,
    adapter: str,
    quiet: bool,
    verbose: bool,
) -> int:
    """The command with its options (`arguments.py` says what each means) -> the exit code."""
    check_seed(seed)
    as_roles(roles)
    console = Console(quiet=quiet, verbose=verbose)
    lines = Lines(console)
    # lazy: a wrong command line is told before pydantic and torch are imported
    from ...recipe.recipe import Recipe  # noqa: PLC0415
    from .layouts import check_system, choose  # noqa: PLC0415
    from .session import Chat, with_limit  # noqa: PLC0415

    # What a model prints while it loads is talk, too: stdout is for answers.
    with plugins_muted(quiet), contextlib.redirect_stdout(sys.stderr):
        host = Host()
        name = refuse_no_model(host) if model is None else model
        checked = with_limit(
            Recipe.load("chat" if recipe is None else recipe, overrides=override, host=host),
            max_new_tokens,
            host,
        )
        named = Named(name, tokenizer, roles, device, adapter, cache_prompt=True)
        decoder = open_decoder(console, host, named, checked, without_tokenizer=_needs_tokenizer)
        if decoder.tokenizer is None:
            raise _needs_tokenizer(name)
        layout = choose(template, decoder.tokenizer)
    _greet(console, host, name, layout.about if template == "auto" else "", lines.typed)
    warning = check_system(layout, system)
    if warning:
        console.say(warning)
    session = Chat(console, host, decoder, checked, layout, Conversation(system), seed)
    code = _talk(session, lines)
    if session.asked and session.seed is not None:
        console.say(f"seed {session.seed}")
    return code


def _talk(session: Chat, lines: Lines) -> int:
    """Until somebody leaves -> the exit code: on a terminal 0, in a pipe 1 if anything failed."""
    from .words import obey  # noqa: PLC0415

    failed = False
    while True:
        try:
            line = lines.next()
        except KeyboardInterrupt:
            if not lines.typed:
                raise
            break
        except DecoderyError as error:
            failed = True
            session.console.error(told(error))
            continue
        if line is None:
            break
        try:
            if line.startswith("/") and not line.startswith("//"):
                if not obey(session, line.rstrip()):
                    break
            elif line.strip():
                failed |= session.answer(line.removeprefix("/")) == "error"
        except KeyboardInterrupt:
            session.console.say("(stopped)")  # before the answer began, or after it ended
        except BrokenPipeError:
            raise
        except (Exception, SystemExit) as error:  # a plugin's sys.exit() ends its answer, not the chat
            failed = True
            session.console.error(told(error))
        lines.answered()
    return int(failed and not lines.typed)


def _greet(console: Console, host: Host, name: str, about: str, typed: bool) -> None:
    """Who is at the other end, honestly."""
    with contextlib.suppress(DecoderyError):  # a path or a function has no record
        summary = host.model(name)[1].summary if "/" not in name and ":" not in name else ""
        if summary:
            console.say(f"{name}: {summary}")
    if about:
        console.say(f"{name} {about}")
    if typed:
        console.say("/help lists the commands; Ctrl-C stops an answer, Ctrl-D leaves")


def _needs_tokenizer(name: str) -> InvalidInput:
    return InvalidInput(
        f"model {name!r} comes without a tokenizer, so nobody can chat with it",
        remedy="--tokenizer names one",
    )
