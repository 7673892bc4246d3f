"""`decodery generate`: a model, a recipe and prompts give text."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, NoReturn

from ..contracts.errors import InvalidInput
from ..host.registry import Host
from .console import Console, is_terminal
from .muting import plugins_muted
from .prompts import gather, token_ids
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
    device: str | None,
    adapter: str,
    quiet: bool,
    verbose: bool,
) -> int:
    """The command with its options (`arguments.py` says what each means) -> the exit code."""
    _check(prompt, prompt_file, samples=samples, seed=seed, lines=lines, as_json=as_json, stream=stream)
    console = Console(quiet=quiet, verbose=verbose)
    # lazy: a wrong command line is told before pydantic and torch are imported
    from ..recipe.recipe import Recipe  # noqa: PLC0415
    from .models import check_device, load_model, load_tokenizer  # noqa: PLC0415
    from .play import Job, play  # noqa: PLC0415

    # What a model prints while it loads or runs is talk, too: stdout is for results.
    with plugins_muted(quiet), contextlib.redirect_stdout(sys.stderr):
        host = Host()
        name = _refuse_no_model(host) if model is None else model
        # The recipe before the model: its mistakes are told in a moment, the model takes its time.
        checked = Recipe.load(recipe or "greedy", overrides=override, host=host)
        prompts = _prompts(console, prompt, prompt_file, lines=lines, ids=ids)
        with console.waiting(f"loading {name}"):
            loaded, own = load_model(name, host)
            tok = own if tokenizer is None else load_tokenizer(tokenizer)
            if tok is None and not ids:
                raise _needs_tokenizer(name)
            # lazy: torch
            from ..engine.decoder import Decoder  # noqa: PLC0415

            check_device(device)
            models = {role: load_model(other, host)[0] for role, other in _roles(roles).items()}
            decoder = Decoder(
                loaded, checked, tokenizer=tok, adapter=adapter, models=models, device=device, host=host
            )
        has_text = tok is not None
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
                has_text,
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
    if seed is not None and not 0 <= seed < 2**64:
        raise UsageMistake(f"--seed {seed} is no seed", remedy="give a whole number from 0 to 2**64 - 1")
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


def _roles(texts: list[str]) -> dict[str, str]:
    """`--role draft=demo-draft` -> {"draft": "demo-draft"}."""
    found = {}
    for text in texts:
        role, equals, model = text.partition("=")
        if not (role and equals and model):
            raise UsageMistake(
                f"--role {text!r} is no role", remedy="write ROLE=MODEL, like draft=demo-draft"
            )
        found[role] = model
    return found


def _refuse_no_model(host: Host) -> NoReturn:
    from .models import names_of_models  # noqa: PLC0415 (lazy: imports the plugins)

    installed = [f"-m {name}" for name in names_of_models(host)]
    other = "-m also takes a transformers directory or package.module:function"
    if installed:
        raise UsageMistake("there is no model", remedy=f"installed: {', '.join(installed)}; {other}")
    raise UsageMistake("there is no model", remedy=f"pip install decodery-demo gives -m demo; {other}")


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
    texts = gather(arguments, files, lines=lines)
    if not texts:
        raise InvalidInput(
            "there is no prompt in what was read: every line is blank",
            remedy="give at least one line with text",
        )
    return [token_ids(text) for text in texts] if ids else texts
