"""`decodery generate`: a model, a recipe and prompts give text."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ..contracts.errors import InvalidInput
from ..host.registry import Host
from .console import Console, is_terminal
from .muting import plugins_muted
from .opening import Named, as_role_prompts, check_seed, open_decoder, refuse_no_model
from .prompts import gather, is_there, token_ids
from .usage import UsageMistake

if TYPE_CHECKING:
    from ..recipe.recipe import Recipe

MOST_SAMPLES = 100_000


def generate(
    *,
    prompt: list[str],
    model: str | None,
    recipe: str | None,
    override: list[str],
    samples: int | None,
    seed: int | None,
    max_new_tokens: int | None,
    stream: bool | None,
    as_json: bool,
    prompt_file: list[str],
    lines: bool,
    ids: bool,
    tokenizer: str | None,
    roles: list[str],
    role_prompts: list[str],
    decoder_prompts: list[str],
    overflow: str | None,
    device: str | None,
    compile_: str,
    adapter: str,
    quiet: bool,
    verbose: bool,
) -> int:
    """The command with its options (`arguments.py` says what each means) -> the exit code."""
    _check(prompt, prompt_file, samples=samples, seed=seed, lines=lines, as_json=as_json, stream=stream)
    console = Console(quiet=quiet, verbose=verbose)
    # lazy: a wrong command line is told before pydantic and torch are imported
    from ..recipe.recipe import Recipe  # noqa: PLC0415
    from .play import Job, play  # noqa: PLC0415

    # What a model prints while it loads or runs is talk, too: stdout is for results.
    with plugins_muted(quiet), contextlib.redirect_stdout(sys.stderr):
        host = Host()
        name = refuse_no_model(host) if model is None else model
        # The recipe before the model: its mistakes are told in a moment, the model takes its time.
        checked = Recipe.load("greedy" if recipe is None else recipe, overrides=override, host=host)
        prompts = _prompts(console, prompt, prompt_file, lines=lines, ids=ids)
        beside = as_role_prompts(role_prompts)
        decoder = open_decoder(
            console,
            host,
            Named(name, tokenizer, roles, device, adapter, overflow, compile_),
            checked,
            without_tokenizer=None if ids else _needs_tokenizer,
        )
        return play(
            console,
            decoder,
            Job(
                prompts,
                _samples(samples, checked),
                seed,
                max_new_tokens,
                stream,
                as_json,
                name,
                checked,
                decoder.tokenizer is not None,
                _texts_or_ids(decoder_prompts, ids) or None,
                {role: _texts_or_ids([text], ids) for role, text in beside.items()},
            ),
        )


def _check(
    prompt: list[str],
    files: list[str],
    *,
    samples: int | None,
    seed: int | None,
    lines: bool,
    as_json: bool,
    stream: bool | None,
) -> None:
    """What typer cannot see: options that contradict one another or are missing together."""
    check_seed(seed)
    if samples is not None and samples > MOST_SAMPLES:
        raise UsageMistake(f"-n {samples} is too much", remedy=f"at most {MOST_SAMPLES:,} samples a prompt")
    if as_json and stream:
        raise UsageMistake("--json prints whole rows, each when it is done", remedy="leave --stream out")
    if lines and not files:
        raise UsageMistake("--lines needs a file", remedy="add -p FILE, or -p - for stdin")
    if not prompt and not files:
        raise UsageMistake("there is no prompt", remedy="give a text, or -p FILE (-p - reads stdin)")


def _samples(given: int | None, recipe: Recipe) -> int:
    """How many rows a prompt gets: the option, else what the recipe's strategy says, else one."""
    return given or getattr(recipe.strategy.params, "num_return_sequences", None) or 1


def _needs_tokenizer(name: str) -> InvalidInput:
    return InvalidInput(
        f"model {name!r} comes without a tokenizer, so prompts cannot be text",
        remedy='--tokenizer names one; or give token ids: --ids "1 2 3"',
    )


def _prompts(
    console: Console, arguments: list[str], files: list[str], *, lines: bool, ids: bool
) -> list[str] | list[list[int]]:
    if "-" in files and is_terminal(sys.stdin):
        console.say("reading the prompt from the terminal; Ctrl-D ends it")
    for argument in arguments:
        if argument == "-" or is_there(Path.is_file, argument):
            what = "stdin" if argument == "-" else "the file"
            console.say(f"{argument!r} is taken for a text: -p {argument} reads {what}")
    texts = gather(arguments, files, lines=lines)
    if not texts:
        raise InvalidInput(
            "there is no prompt in what was read: every line is blank",
            remedy="give at least one line with text",
        )
    return _texts_or_ids(texts, ids)


def _texts_or_ids(texts: list[str], ids: bool) -> list[str] | list[list[int]]:
    return [token_ids(text) for text in texts] if ids else texts
